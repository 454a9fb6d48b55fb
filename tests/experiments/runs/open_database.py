"""Opens the database URL as soon as standard input ends; prints `ready` before, with the driver loaded."""

import sys

from sqlalchemy import create_engine

from experiments.runs import store

if __name__ == "__main__":
    create_engine(sys.argv[1]).connect().close()
    print("ready", flush=True)
    sys.stdin.read()
    store.engine(sys.argv[1])
