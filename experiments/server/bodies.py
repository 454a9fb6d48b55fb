"""Request bodies to checked float32 rows, and logits to answer bodies."""

import json

import numpy as np
from starlette.requests import ClientDisconnect, Request

from experiments.bench.arrays import Array

JSON, RAW = "application/json", "application/octet-stream"
FORM = "application/x-www-form-urlencoded"  # curl's content type for every body without one
MAX_NUMBER_BYTES = 32  # of one number in JSON
MAX_ERROR_TEXT = 80


class RequestRefused(Exception):
    """A request that gets an error instead of logits: the HTTP status and the reason in one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


async def read(request: Request, most: int) -> bytes:
    """The whole body; raises RequestRefused if it is longer than `most` bytes.

    A body that is too long is still read to its end and discarded: a client that is sending would not read an answer.
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
        raise RequestRefused(400, "the client disconnected before the end of its request") from None
    if size > most:
        raise RequestRefused(413, f"the body has {size:,} bytes; at most {most:,} are accepted")
    return b"".join(parts)


def max_bytes(kind: str, pixels: int, max_rows: int) -> int:
    """The length of the longest valid body of `kind`."""
    return pixels * max_rows * (4 if kind == RAW else MAX_NUMBER_BYTES) + (0 if kind == RAW else 4096)


def rows_of(body: bytes, kind: str, pixels: int, max_rows: int) -> Array:
    """The rows of a body as finite float32, shape (n, pixels) with n from 1 to `max_rows`; else RequestRefused."""
    rows = _raw(body, pixels) if kind == RAW else _json(body, pixels)
    if not len(rows):
        raise RequestRefused(422, "the body has no rows")
    if len(rows) > max_rows:
        raise RequestRefused(413, f"the request has {len(rows)} rows; at most {max_rows} are accepted")
    if not np.isfinite(rows).all():
        raise RequestRefused(422, "a number is not finite in float32")
    return rows


def _raw(body: bytes, pixels: int) -> Array:
    if len(body) % (4 * pixels):
        reason = f"{len(body)} bytes are not a whole number of rows of {pixels} float32, {4 * pixels} bytes each"
        raise RequestRefused(422, reason)
    return np.frombuffer(body, "<f4").reshape(-1, pixels)


def _json(body: bytes, pixels: int) -> Array:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(400, f"the body is not valid JSON: {str(error)[:MAX_ERROR_TEXT]}") from None
    if not isinstance(value, dict):
        raise RequestRefused(422, 'the body is not an object; give {"inputs": [[…], …]}')
    if value.keys() != {"inputs"}:
        raise RequestRefused(422, 'the object must have exactly one field, "inputs"')
    rows = value["inputs"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise RequestRefused(422, f"inputs is not a list of lists of {pixels} numbers")
    for number, row in enumerate(rows):
        if len(row) != pixels:
            raise RequestRefused(422, f"row {number} has {len(row)} numbers; the network takes {pixels}")
        if not all(type(value) in (int, float) for value in row):
            raise RequestRefused(422, f"row {number} holds a value that is not a number")
    try:
        with np.errstate(over="ignore"):  # overflows become infinite, which rows_of refuses
            return np.array(rows, np.float64).astype(np.float32).reshape(-1, pixels)
    except OverflowError:
        raise RequestRefused(422, "a number is not finite in float32") from None


def _refuse_constant(name: str) -> None:
    raise RequestRefused(422, f"{name} is not finite")


def answer_json(logits: Array) -> bytes:
    """Logits and predicted classes as JSON."""
    return json.dumps({"outputs": logits.tolist(), "classes": logits.argmax(axis=1).tolist()}).encode()


def answer_raw(logits: Array) -> bytes:
    """Logits as little-endian float32."""
    return logits.astype("<f4", copy=False).tobytes()
