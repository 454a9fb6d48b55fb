"""Errors of Python and of other processes as one line."""

import pytest

from experiments.bench.errors import first_line, last_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("too large\nby far"), "too large"),
        (ValueError("  \n"), "ValueError"),
        (ValueError("x" * 501), "x" * 500),
    ],
)
def test_the_first_line_of_an_error_is_its_message_or_its_type(error, line):
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("Traceback\n  File\nOSError: no room\n\n", "OSError: no room"),
        (" \n", "exit code 7"),
        ("x" * 301, "x" * 300),
    ],
)
def test_the_last_line_of_a_process_is_its_error_or_what_is_known_otherwise(output, line):
    assert last_line(output, "exit code 7") == line
