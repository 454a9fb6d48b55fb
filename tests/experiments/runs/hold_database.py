"""Locks an SQLite file for writing: `python -m tests.experiments.runs.hold_database FILE SECONDS`; prints `locked`."""

import sqlite3
import sys
import time

if __name__ == "__main__":
    connection = sqlite3.connect(sys.argv[1], timeout=60)
    connection.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
    connection.rollback()
