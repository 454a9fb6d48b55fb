"""Bodies of requests to rows of float32, checked; of answers back to bodies."""

import json

import numpy as np
from starlette.requests import ClientDisconnect, Request

from experiments.bench.arrays import Array

JSON, RAW = "application/json", "application/octet-stream"
FORM = "application/x-www-form-urlencoded"  # what curl calls every body that it is given no type for
TEXT_BYTES = 32  # of one number in JSON, generously
SHOWN = 80


class RequestRefused(Exception):
    """A request that is not answered with logits: the HTTP status and the reason in one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


async def read(request: Request, most: int) -> bytes:
    """The whole body; RequestRefused where it is longer than `most` bytes.

    What is too long is still read to its end, and thrown away: a client that is busy sending would not see an answer.
    """
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= most:
                parts.append(part)
            else:
                parts.clear()
    except ClientDisconnect:
        raise RequestRefused(400, "the client went away in the middle of its request") from None
    if size > most:
        raise RequestRefused(413, f"a body of {size:,} bytes is too large; at most {most:,} are taken")
    return b"".join(parts)


def most_bytes(kind: str, pixels: int, most_rows: int) -> int:
    """The longest body of `kind` that can be right."""
    return pixels * most_rows * (4 if kind == RAW else TEXT_BYTES) + (0 if kind == RAW else 4096)


def rows_of(body: bytes, kind: str, pixels: int, most_rows: int) -> Array:
    """The rows in a body, float32 and shaped (n, pixels); RequestRefused with the reason where there are none."""
    rows = _raw(body, pixels) if kind == RAW else _json(body, pixels)
    if not len(rows):
        raise RequestRefused(422, "there are no rows")
    if len(rows) > most_rows:
        raise RequestRefused(413, f"{len(rows)} rows are too many for one request; at most {most_rows} are taken")
    if not np.isfinite(rows).all():
        raise RequestRefused(422, "a number is not finite in float32")
    return rows


def _raw(body: bytes, pixels: int) -> Array:
    if len(body) % (4 * pixels):
        raise RequestRefused(
            422, f"{len(body)} bytes are not rows of {pixels} float32 numbers, {4 * pixels} bytes each"
        )
    return np.frombuffer(body, "<f4").reshape(-1, pixels)


def _json(body: bytes, pixels: int) -> Array:
    try:
        value = json.loads(body, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(400, f"the body is no JSON: {str(error)[:SHOWN]}") from None
    if not isinstance(value, dict):
        raise RequestRefused(422, 'the body is not an object; give {"inputs": [[…], …]}')
    if value.keys() != {"inputs"}:
        raise RequestRefused(422, 'the object must have the one field "inputs"')
    rows = value["inputs"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise RequestRefused(422, f"inputs is not a list of lists of {pixels} numbers")
    for number, row in enumerate(rows):
        if len(row) != pixels:
            raise RequestRefused(422, f"row {number} has {len(row)} numbers; the network takes {pixels}")
        if not all(type(one) in (int, float) for one in row):
            raise RequestRefused(422, f"row {number} holds something that is no number")
    try:
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused as such
            return np.array(rows, np.float64).astype(np.float32).reshape(-1, pixels)
    except OverflowError:
        raise RequestRefused(422, "a number is not finite in float32") from None


def _not_finite(name: str) -> None:
    raise RequestRefused(422, f"{name} is not finite")


def answer_json(logits: Array) -> bytes:
    """The logits and the classes they name, as JSON."""
    return json.dumps({"outputs": logits.tolist(), "classes": logits.argmax(axis=1).tolist()}).encode()


def answer_raw(logits: Array) -> bytes:
    """The logits as little-endian float32."""
    return logits.astype("<f4", copy=False).tobytes()
