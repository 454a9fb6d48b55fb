"""What a child reports to its runner while an experiment runs, and its encoding: one line of JSON per event.

Events are sent over a pipe between two processes of the same version: the encoding is stored nowhere.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.bench.columns import Value
from experiments.bench.rows import Row, Sample


@dataclass(frozen=True)
class ProgressEvent:
    """The fraction of the run that is done (0 to 1), and the step that starts now."""

    fraction: float
    message: str


@dataclass(frozen=True)
class RowEvent:
    """A measured row with its samples."""

    row: Row


@dataclass(frozen=True)
class DetailEvent:
    """Further records of a detail."""

    name: str
    records: list[dict[str, Value]]


@dataclass(frozen=True)
class ArtifactEvent:
    """A file of the run, with the SHA-256 of its content."""

    name: str
    digest: str
    content: bytes


@dataclass(frozen=True)
class EnvironmentEvent:
    """The machine: facts that identify it, and volatile readings."""

    facts: dict[str, Any]
    volatile: dict[str, Any]


@dataclass(frozen=True)
class FailedEvent:
    """The experiment raised; the traceback is empty for bad input."""

    message: str
    traceback: str


@dataclass(frozen=True)
class EndEvent:
    """The experiment reached its end."""


Event = ProgressEvent | RowEvent | DetailEvent | ArtifactEvent | EnvironmentEvent | FailedEvent | EndEvent
Emit = Callable[[Event], None]

_DECODERS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "ProgressEvent": lambda fields: ProgressEvent(**fields),
    "RowEvent": lambda fields: RowEvent(Row(fields["values"], [Sample(**one) for one in fields["samples"]])),
    "DetailEvent": lambda fields: DetailEvent(**fields),
    "ArtifactEvent": lambda fields: ArtifactEvent(**{**fields, "content": base64.b64decode(fields["content"])}),
    "EnvironmentEvent": lambda fields: EnvironmentEvent(**fields),
    "FailedEvent": lambda fields: FailedEvent(**fields),
    "EndEvent": lambda fields: EndEvent(),
}


def encode(event: Event) -> str:
    """The event as one line; raises ValueError for an infinity or a NaN, which JSON does not have."""
    match event:
        case RowEvent(row):
            fields: dict[str, Any] = {"values": row.values, "samples": [vars(one) for one in row.samples]}
        case ArtifactEvent():
            fields = vars(event) | {"content": base64.b64encode(event.content).decode()}
        case _:
            fields = vars(event)
    return json.dumps({"event": type(event).__name__, **fields}, allow_nan=False) + "\n"


def decode(line: str) -> Event:
    """The event of one line; raises ValueError for anything else, such as the half line of a killed child."""
    try:
        fields = json.loads(line)
        return _DECODERS[fields.pop("event")](fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an event: {line[:80]!r}") from error
