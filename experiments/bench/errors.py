"""Refused input, and the errors of Python and of other processes as one line of text."""


class BadInput(ValueError):
    """Refused input; each problem is one line with the field, the value and the allowed values."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 500 characters; its type's name where there is no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def last_line(output: str, otherwise: str) -> str:
    """The last line that a process wrote, which names its error, at most 300 characters; `otherwise` if it is empty."""
    return (output.strip().splitlines() or [otherwise])[-1][:300]


def one_line(error: BaseException) -> str:
    """An error's type and the first line of its message, at most 300 characters; all causes of an exception group.

    tinygrad groups the causes of a device's several interfaces.
    """
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    line = " / ".join(dict.fromkeys(f"{type(cause).__name__}: {cause}".strip().splitlines()[0] for cause in causes))
    return line[:300]
