"""Upgrades the database URL at the given SQL statement up to which it goes, then waits to be killed.

    python -m tests.experiments.runs.upgrade_and_stop URL TEXT

Prints `stopped` after the first statement that holds TEXT, or, for `backup`, after the copy and before its renaming.
"""

import sys
import time
from pathlib import Path

from sqlalchemy import Engine, event

from experiments.runs import store


def stop() -> None:
    """Reports and waits."""
    print("stopped", flush=True)
    time.sleep(600)


def main(url: str, text: str) -> None:
    """Opens the database, which upgrades it."""
    if text == "backup":
        Path.replace = lambda path, target: stop()  # type: ignore[method-assign, assignment]
    event.listen(Engine, "after_cursor_execute", lambda c, cursor, statement, *_: text in statement and stop())
    store.engine(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
