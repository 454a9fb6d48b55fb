"""Functions that the tests of helper processes run in helper processes."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def counter(device: str, start: int) -> Callable[[int], int]:
    """A handler that remembers its total between requests."""
    total = [start]

    def add(number: int) -> int:
        total[0] += number
        return total[0]

    return add


def pid_then_sleep(device: str) -> Callable[[], int]:
    """A handler that never answers, in a process that names its id when it is ready."""
    with open(os.environ["TINYLAB_PID_FILE"], "w") as file:  # noqa: PTH123 - as short as it gets
        file.write(str(os.getpid()))

    def sleep() -> int:
        time.sleep(600)
        return 0

    return sleep


def answers(device: str, **given: Any) -> dict[str, Any]:
    """Prints noise, which is no response, and responds with its kernel cache and its arguments."""
    print("noise on the way")
    os.system("echo more noise")  # noqa: S605, S607
    return {"device": device, "cache": os.environ["CACHEDB"], "used": Path(os.environ["CACHEDB"]).exists(), **given}


def raises(device: str) -> None:
    """Fails with a message of two lines."""
    raise MemoryError("no room\nfor this")


def dies(device: str) -> None:
    """Ends the process with nothing on standard error."""
    os._exit(7)
