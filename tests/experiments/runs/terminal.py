"""A run as from the command line, with a working device: `python -m tests.experiments.runs.terminal URL DEVICE`."""

import sys

from experiments.bench.machine import devices
from experiments.registry import find
from experiments.runs import jobs

if __name__ == "__main__":
    devices.probe = lambda device: devices.Probe(device, True, "taken to work")
    spec = find("steps").spec(device=sys.argv[2], rows=20, pause_s=0.02)
    jobs.run_now("steps", spec, url=sys.argv[1])
