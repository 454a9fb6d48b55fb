"""What a child reports is checked before it is sent, and is one line of JSON each."""

import io
import json
import subprocess
import sys
from typing import Any

import pytest

from experiments.bench.rows import Row, Sample
from experiments.registry import find
from experiments.runs.child import Reporter

pytestmark = pytest.mark.usefixtures("lab")


def reported(*rows: Row, **event: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    reporter = Reporter(stream, find("steps"))
    for row in rows:
        reporter.row(row)
    if event:
        reporter.emit(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_row_is_sent_with_its_samples() -> None:
    row = Row({"variant": "a\nb", "number": 1}, [Sample("block", 2, [0.5])])
    samples = [{"kind": "block", "inner": 2, "seconds": [0.5]}]
    assert reported(row) == [{"event": "row", "values": {"variant": "a\nb", "number": 1}, "samples": samples}]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_sent_as_empty(value: float) -> None:
    assert reported(Row({"wait_s": value}))[0]["values"] == {"wait_s": None}
    log = reported(event="detail", name="log", records=[{"number": 1, "said": None}])
    assert log[0]["records"] == [{"number": 1, "said": None}]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"surprise": 1}, "'surprise' is not declared"),
        ({"number": 1.5}, "'number' wants integer"),
        ({"number": True}, "'number' wants integer"),
        ({"variant": 3}, "'variant' wants text"),
    ],
)
def test_a_row_that_does_not_keep_to_its_columns_is_refused(values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reported(Row(values))


def test_details_must_be_declared_with_their_columns() -> None:
    with pytest.raises(ValueError, match="detail 'nothing' is not declared"):
        reported(event="detail", name="nothing", records=[])
    with pytest.raises(ValueError, match="'surprise' is not declared"):
        reported(event="detail", name="log", records=[{"surprise": 1}])


def test_a_child_whose_runner_died_before_it_said_a_word_ends() -> None:
    command = [sys.executable, "-m", "experiments.runs.child", "1"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    assert done.returncode != 0
    assert done.stdout == b""
