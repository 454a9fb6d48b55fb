"""The app without its pages, an embedded runner: `python -m tests.experiments.runs.app URL`; prints `started`."""

import sys
import time

from experiments.runs import jobs

if __name__ == "__main__":
    jobs.EmbeddedRunner(sys.argv[1]).start()
    print("started", flush=True)
    time.sleep(600)
