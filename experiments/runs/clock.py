"""Wall-clock times as text."""

import time


def format_time(seconds: float) -> str:
    """A time as a person reads it, in this machine's zone; one that no calendar has, as a number."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s"
