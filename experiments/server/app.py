"""The HTTP endpoints: POST /predict, GET /health, /ready and /metrics."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from experiments.server.batching import Batcher, Prediction, QueueFull
from experiments.server.bodies import (
    FORM,
    JSON,
    RAW,
    RequestRefused,
    answer_json,
    answer_raw,
    max_bytes,
    read,
    rows_of,
)
from experiments.server.metrics import Metrics
from experiments.server.options import BatchingPolicy
from experiments.server.process import BatchFailed, EngineUnavailable, InferenceProcess
from experiments.server.protocol import InferenceSettings

RETRY_AFTER = {"Retry-After": "1"}
PATHS = "POST /predict, GET /health, GET /ready and GET /metrics"


@dataclass(frozen=True)
class ServedModel:
    """What request checks need to know about the served network."""

    name: str
    pixels: int
    classes: int


class Service:
    """The parts of a running server, and its endpoints."""

    def __init__(self, model: ServedModel, policy: BatchingPolicy, inference: InferenceSettings) -> None:
        self.model, self.policy, self.inference = model, policy, inference
        self.metrics = Metrics()
        self.started: asyncio.Future[InferenceProcess] = asyncio.Future()

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Starts the batcher and the inference process with the HTTP server, and stops them after it."""
        self.engine = InferenceProcess(self.inference, self.model.classes)
        self.batcher = Batcher(self.engine, self.policy, self.metrics)
        self.engine.on_down = self.batcher.fail_all
        self.metrics.add_gauge("queue_length", "Waiting requests", lambda: len(self.batcher))
        self.metrics.add_gauge("ready", "1 if the server can predict", lambda: float(self.engine.ready.is_set()))
        self.metrics.add_gauge("inference_starts", "Successful inference process starts", lambda: self.engine.starts)
        self.started.set_result(self.engine)
        try:
            yield
        finally:
            await self.batcher.close()
            await self.engine.close()

    async def predict(self, request: Request) -> Response:
        """Logits, or an error with its reason as JSON."""
        began = time.perf_counter()
        body = None
        try:
            async with asyncio.timeout(self.policy.deadline_ms / 1e3):
                kind = _content_type(request)
                body = await read(request, max_bytes(kind, self.model.pixels, self.policy.max_batch))
                response = await self._logits(body, kind)
        except RequestRefused as refused:
            response = _error(refused.status, refused.reason)
        except (QueueFull, EngineUnavailable) as busy:
            response = _error(503, str(busy), RETRY_AFTER)
        except BatchFailed as failed:
            response = _error(500, str(failed))
        except TimeoutError:
            limit = f"within {self.policy.deadline_ms:g} ms"
            response = (
                _error(408, f"the body was not complete {limit}") if body is None else _error(504, f"no answer {limit}")
            )
        self.metrics.request(response.status_code, time.perf_counter() - began)
        return response

    async def _logits(self, body: bytes, kind: str) -> Response:
        answer = await self.batcher.submit(rows_of(body, kind, self.model.pixels, self.policy.max_batch))
        content = answer_raw(answer.logits) if kind == RAW else answer_json(answer.logits)
        return Response(content, media_type=kind, headers=_timing(answer))

    async def health(self, _: Request) -> Response:
        """200 while the HTTP server runs."""
        return _json(200, {"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """200 if the server can predict, else 503."""
        if not self.engine.ready.is_set():
            return _json(503, {"status": "starting", "starts": self.engine.starts}, RETRY_AFTER)
        state = {"status": "ready", "starts": self.engine.starts, "pid": self.engine.pid}
        return _json(200, {**state, "network": self.model.name, "buckets": self.engine.buckets})

    async def show_metrics(self, _: Request) -> Response:
        """Metrics in Prometheus' text format."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/predict", self.predict, methods=["POST"]),
                Route("/health", self.health),
                Route("/ready", self.ready),
                Route("/metrics", self.show_metrics),
            ],
            exception_handlers={HTTPException: _no_such_route},
            lifespan=self.lifespan,
        )


async def _no_such_route(request: Request, error: Exception) -> Response:
    """The answer to an unknown path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - the type it is registered for
    reason = f"{request.method} {request.url.path[:60]}: {error.detail}; available: {PATHS}"
    return _json(error.status_code, {"error": reason}, dict(error.headers or {}))


def _content_type(request: Request) -> str:
    """The content type of a request; JSON if it has none, or curl's default."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind == FORM:
        return JSON
    if kind not in (JSON, RAW):
        raise RequestRefused(415, f"the content type {kind[:60]} is not supported; send {JSON} or {RAW}")
    return kind


def _timing(answer: Prediction) -> dict[str, str]:
    """The parts of the latency in ms, in the format that browsers and load generators read."""
    parts = {
        "queue": answer.queued_s,
        "gather": answer.gathering_s,
        "handover": answer.handed_s,
        "compute": answer.computing_s,
    }
    metrics = ", ".join(f"{name};dur={seconds * 1e3:.4f}" for name, seconds in parts.items())
    return {"Server-Timing": metrics, "X-Batch-Rows": str(answer.batch)}


def _json(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value).encode(), status, headers, JSON)


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    # after a body that was incomplete or too long, the connection cannot carry another request
    headers = {**(headers or {}), **({"Connection": "close"} if status in (408, 413) else {})}
    return _json(status, {"error": reason}, headers)
