"""The batching policy, and the options of `python -m experiments serve`. Imports nothing heavy."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_BATCH, MAX_QUEUE, MAX_WAIT_MS, MAX_DEADLINE_MS = 1024, 100_000, 1000.0, 6e5
TINYGRAD = "experiments.server.engines:tinygrad_engine"


@dataclass(frozen=True)
class BatchingPolicy:
    """How requests become batches.

    A batch holds up to `max_batch` rows. Its first request waits at most `max_wait_ms` for others; with 0 a batch is
    what is queued. While `queue` requests are waiting, new ones are rejected. A request without an answer after
    `deadline_ms` gets an error.
    """

    max_batch: int = 32
    max_wait_ms: float = 2.0
    queue: int = 512
    deadline_ms: float = 5000.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    policy = BatchingPolicy()
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--network", default="mlp", metavar="NAME", help="a built-in network (default mlp)")
    model.add_argument("--recipe", metavar="TEXT", help="a recipe as JSON, or a file that contains one")
    model.add_argument("--model", metavar="FILE", help="a packed model, such as an artifact of a run")
    _add_number(parser, "--port", int, (0, 65_535), 8000, "port; 0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    _add_number(parser, "--max-batch", int, (1, MAX_BATCH), policy.max_batch, "maximum rows per batch")
    text = "longest wait of a request for others to join its batch; 0: batch what is queued"
    _add_number(parser, "--max-wait-ms", float, (0, MAX_WAIT_MS), policy.max_wait_ms, text)
    _add_number(
        parser, "--queue", int, (1, MAX_QUEUE), policy.queue, "maximum waiting requests; further ones get status 503"
    )
    text = "time limit of a request; after it the request fails with an error"
    _add_number(parser, "--deadline-ms", float, (1, MAX_DEADLINE_MS), policy.deadline_ms, text)
    parser.add_argument("--device", default="auto", help="CPU, CUDA:1 … (default: the first device that works)")
    text = "fast: call the captured kernels directly; plain: through tensors (default fast)"
    parser.add_argument("--path", choices=["fast", "plain"], default="fast", help=text)
    parser.add_argument("--engine", default=TINYGRAD, metavar="MODULE:FUNCTION", help=argparse.SUPPRESS)
    parser.add_argument("--access-log", action="store_true", help="log one line per request")


def _add_number(
    parser: argparse.ArgumentParser,
    name: str,
    kind: Callable[[str], Any],
    limits: tuple[float, float],
    default: float,
    text: str,
) -> None:
    low, high = limits

    def number(given: str) -> Any:
        value = kind(given)
        if not low <= value <= high:
            raise ValueError
        return value

    number.__name__ = f"number from {low:g} to {high:g}"  # argparse prints: invalid NAME value
    metavar = "MS" if name.endswith("-ms") else "N"
    parser.add_argument(name, type=number, default=default, metavar=metavar, help=f"{text} (default {default:g})")
