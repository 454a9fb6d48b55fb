"""What a child reports is checked before it is sent."""

import io
import subprocess
import sys
from typing import Any

import pytest

from experiments.bench.events import DetailEvent, Event, RowEvent, decode
from experiments.bench.rows import Row, Sample
from experiments.registry import find
from experiments.runs.child import Reporter

pytestmark = pytest.mark.usefixtures("lab")


def reported(event: Event) -> Event:
    """The event as the supervisor receives it."""
    stream = io.StringIO()
    Reporter(stream, find("steps")).emit(event)
    return decode(stream.getvalue())


def test_a_row_is_sent_with_its_samples() -> None:
    event = RowEvent(Row({"variant": "a\nb", "number": 1}, [Sample("block", 2, [0.5])]))
    assert reported(event) == event


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_sent_as_empty(value: float) -> None:
    assert reported(RowEvent(Row({"wait_s": value}))) == RowEvent(Row({"wait_s": None}))
    assert reported(DetailEvent("log", [{"number": None, "said": None}])) == DetailEvent(
        "log", [{"number": None, "said": None}]
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"surprise": 1}, "'surprise' is not declared"),
        ({"number": 1.5}, "'number' has kind integer"),
        ({"number": True}, "'number' has kind integer"),
        ({"variant": 3}, "'variant' has kind text"),
    ],
)
def test_a_row_that_does_not_match_its_columns_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reported(RowEvent(Row(values)))


def test_details_must_be_declared_with_their_columns() -> None:
    with pytest.raises(ValueError, match="detail 'nothing' is not declared"):
        reported(DetailEvent("nothing", []))
    with pytest.raises(ValueError, match="'surprise' is not declared"):
        reported(DetailEvent("log", [{"surprise": 1}]))


def test_a_child_whose_supervisor_died_before_the_job_was_sent_ends() -> None:
    command = [sys.executable, "-m", "experiments.runs.child", "1"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    assert done.returncode != 0
    assert done.stdout == b""
