"""Bad input, and any error as one line of text."""


class BadInput(ValueError):
    """Input that was refused: each problem is one line naming the field, the value and what is allowed."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 500 characters; its type's name where there is no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def one_line(error: BaseException) -> str:
    """The cause of a failed device in one line; tinygrad groups the causes of several interfaces."""
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    said = " / ".join(dict.fromkeys(f"{type(cause).__name__}: {cause}".strip().splitlines()[0] for cause in causes))
    return said[:300]
