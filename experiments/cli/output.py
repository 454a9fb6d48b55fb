"""Output of the command line: a progress line, and a table that fits a terminal."""

import contextlib
from typing import IO, Any

import pandas as pd

from experiments.bench.events import Event, ProgressEvent, RowEvent
from experiments.bench.spec import Experiment

INTERVALS = {"latency_ms": ("latency_lo_ms", "latency_hi_ms"), "speedup": ("speedup_lo", "speedup_hi")}


class ProgressLine:
    """One line of progress, rewritten in place on a terminal; elsewhere a new line for each step."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._rows, self._last = stream, 0, ""
        self._in_place = stream.isatty()

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_place and self._last:
            self._write("\r\x1b[K")

    def update(self, event: Event) -> None:
        """Shows a progress event, and counts rows."""
        if isinstance(event, RowEvent):
            self._rows += 1
        if not isinstance(event, ProgressEvent):
            return
        line = f"{event.fraction:4.0%}  {event.message}  ({self._rows} rows)"
        self._write(f"\r\x1b[K{line[:100]}" if self._in_place else line + "\n")
        self._last = line

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # standard error is closed: the run goes on
            self._stream.write(text)
            self._stream.flush()


def table(frame: pd.DataFrame, experiment: Experiment[Any]) -> str:
    """The experiment's summary columns, intervals in brackets after their median."""
    if frame.empty:
        return ""
    shown = {}
    for name in experiment.summary:
        if frame[name].isna().all():
            continue
        low, high = INTERVALS.get(name, ("", ""))
        cells = [_cell(row[name]) for _, row in frame.iterrows()]
        if low:
            cells = [
                f"{cell} [{_cell(row[low])}, {_cell(row[high])}]" if cell and not pd.isna(row[low]) else cell
                for cell, (_, row) in zip(cells, frame.iterrows(), strict=True)
            ]
        shown[name] = cells
    return str(pd.DataFrame(shown).to_string(index=False))


def _cell(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
