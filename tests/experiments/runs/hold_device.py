"""Holds the hardware of a device: `python -m tests.experiments.runs.hold_device DEVICE`; prints `held`."""

import sys
import time

from tests.experiments.runs.lab_tools import holding

if __name__ == "__main__":
    with holding(sys.argv[1]):
        print("held", flush=True)
        time.sleep(120)
