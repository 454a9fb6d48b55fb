"""Functions that the tests of helper processes run in helper processes."""

import os
import time
from collections.abc import Callable


def counter(device: str, start: int) -> Callable[[int], int]:
    """A handler that remembers its total between requests."""
    total = [start]

    def add(number: int) -> int:
        total[0] += number
        return total[0]

    return add


def pid_then_sleep(device: str) -> Callable[[], int]:
    """A handler that never answers, in a process that names its id when it is ready."""
    with open(os.environ["PID_FILE"], "w") as file:  # noqa: PTH123 - as short as it gets
        file.write(str(os.getpid()))

    def sleep() -> int:
        time.sleep(600)
        return 0

    return sleep
