"""Holds the lock of a device: `python -m tests.experiments.runs.hold_device DEVICE`; prints `held`."""

import sys
import time

from experiments.runs.locks import device_lock

if __name__ == "__main__":
    with device_lock(sys.argv[1]):
        print("held", flush=True)
        time.sleep(120)
