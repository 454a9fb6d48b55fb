"""Every kind of event survives the pipe between child and supervisor unchanged."""

import pytest

from experiments.bench.events import (
    ArtifactEvent,
    DetailEvent,
    EndEvent,
    EnvironmentEvent,
    Event,
    FailedEvent,
    ProgressEvent,
    RowEvent,
    decode,
    encode,
)
from experiments.bench.rows import Row, Sample

EVENTS: list[Event] = [
    ProgressEvent(0.25, "measuring\nü"),
    RowEvent(
        Row({"variant": "a", "number": None, "x": 0.1 + 0.2}, [Sample("block", 4, [1e-9]), Sample("single", 1, [])])
    ),
    DetailEvent("log", [{"said": "\u2028 \x00", "number": 2**60}]),
    ArtifactEvent("model.bin", "ab" * 32, bytes(range(256))),
    EnvironmentEvent({"cpu": "x", "flags": ["a"]}, {"load": 0.5}),
    FailedEvent("ValueError: no", "line 1\nline 2"),
    EndEvent(),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_one_line_and_comes_back_equal(event: Event) -> None:
    line = encode(event)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert decode(line) == event


def test_an_artifact_takes_a_third_more_than_its_bytes() -> None:
    assert len(encode(ArtifactEvent("a", "b", b"\0" * 30_000))) < 41_000


def test_nan_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(RowEvent(Row({"x": float("nan")})))


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "1", "{}", '{"event": "RowEvent"}', '{"event": "Unknown"}', encode(EVENTS[3])[:40],
     '{"event": "ProgressEvent", "fraction": 1}', '{"event": "RowEvent", "values": {}, "samples": [{"x": 1}]}'],
)  # fmt: skip
def test_anything_else_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):
        decode(line)
