"""Wall-clock times as text."""

import time


def format_time(seconds: float) -> str:
    """Seconds since 1970 as local date and time; a value outside the calendar as a number."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s"
