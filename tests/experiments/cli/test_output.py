"""ProgressLine and tables as a terminal shows them."""

import io
from typing import Any

import pandas as pd
import pytest

from experiments.bench.columns import IDENTITY
from experiments.bench.events import Event, ProgressEvent, RowEvent
from experiments.bench.rows import Row
from experiments.cli.output import ProgressLine, table
from experiments.registry import find
from experiments.runs.frames import frame_of


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


EVENTS: list[Event] = [ProgressEvent(0.0, "starts"), RowEvent(Row({})), ProgressEvent(0.5, "goes on")]


def shown(stream: io.StringIO) -> str:
    with ProgressLine(stream) as progress:
        for event in EVENTS:
            progress.update(event)
    return stream.getvalue()


def test_progress_is_a_line_for_each_step_in_a_file() -> None:
    assert shown(io.StringIO()) == "  0%  starts  (0 rows)\n 50%  goes on  (1 rows)\n"


def test_progress_is_one_line_rewritten_on_a_terminal_and_cleared_at_the_end() -> None:
    written = shown(Screen())
    assert "\n" not in written
    assert written.endswith("\r\x1b[K")


def test_a_closed_stream_of_progress_stops_nothing() -> None:
    assert shown(Closed()) == ""


def jit_frame(*records: dict[str, Any]) -> pd.DataFrame:
    return frame_of(list(records), (*IDENTITY, *find("jit").columns))


def test_intervals_stand_behind_their_medians_and_empty_columns_are_left_out() -> None:
    one = {"variant": "eager", "batch": 16, "latency_ms": 1.5, "latency_lo_ms": 1.25, "latency_hi_ms": 1.75}
    two = {"variant": "jit", "batch": 16, "latency_ms": 0.123456789, "kernels": 3}
    lines = table(jit_frame(one, two), find("jit")).splitlines()
    assert "1.5 [1.25, 1.75]" in lines[1]
    assert lines[2].split() == ["16", "jit", "0.1235", "3"]
    assert "size" not in lines[0]


@pytest.mark.usefixtures("lab")
def test_a_run_without_rows_has_no_table() -> None:
    assert table(jit_frame(), find("jit")) == ""
