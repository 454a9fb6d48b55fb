"""The load generator process: `python -m experiments.deployment.serving.generator PAYLOAD`.

Reads a LoadPlan as one line of JSON, sends the load, and writes one record per request to standard output. In an open
load latency counts from the scheduled arrival, so a stall of the server delays every request that was due during it
(no coordinated omission).
"""

import asyncio
import gc
import io
import json
import re
import selectors
import subprocess
import sys
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.errors import last_line
from experiments.deployment.serving.loads import MAX_CONNECTIONS, RECORD, LoadPlan

PARTS = {name: re.compile(rb"%b;dur=([0-9.]+)" % name.encode()) for name in ("queue", "gather", "handover", "compute")}
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
BATCH = re.compile(rb"x-batch-rows: (\d+)", re.IGNORECASE)
CONNECT_S = 5.0


def generate(plan: LoadPlan, payload: Path) -> Array:
    """Sends a load from a child process; returns its records by scheduled arrival."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.deployment.serving.generator", str(payload)],
        input=json.dumps(asdict(plan)).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        cause = last_line(done.stderr.decode(errors="replace"), f"exit code {done.returncode}")
        raise RuntimeError(f"the load generator failed: {cause}")
    return np.asarray(np.load(io.BytesIO(done.stdout)))


class ClientConnection(asyncio.Protocol):
    """A keep-alive connection with at most one request in flight."""

    def __init__(self, load: "LoadGenerator") -> None:
        self._load, self._buffer = load, b""
        self.number: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stores the transport."""
        self._transport: Any = transport

    def send(self, number: int) -> None:
        """Sends request `number`."""
        self.number = number
        self._load.sent[number] = self._load.now()
        self._transport.write(self._load.requests[number % len(self._load.requests)])

    def data_received(self, data: bytes) -> None:
        """Collects an answer and reports it once it is complete."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self.number is None:
            return
        found = LENGTH.search(self._buffer, 0, end)
        if len(self._buffer) >= end + 4 + int(found[1] if found else 0):
            number, answer, self._buffer, self.number = self.number, self._buffer, b"", None
            self._load.finished(self, number, answer)

    def connection_lost(self, _: Exception | None) -> None:
        """Its request, if any, gets no answer."""
        self._load.lost(self)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()


class LoadGenerator:
    """A running load: free connections, requests waiting for one, and all answers."""

    def __init__(self, plan: LoadPlan, requests: list[bytes]) -> None:
        self.plan, self.requests = plan, requests
        self._loop = asyncio.get_running_loop()
        self.scheduled: list[float] = []
        self.sent: dict[int, float] = {}
        self.ended: dict[int, tuple[float, bytes]] = {}
        self._free: list[ClientConnection] = []
        self._waiting: deque[int] = deque()
        self._open: set[ClientConnection] = set()
        self._unanswered = 0
        self._opening = 0
        self._idle = asyncio.Event()

    def now(self) -> float:
        """Seconds since the start of the load."""
        return self._loop.time() - self._began

    async def run(self) -> None:
        """Sends the load and waits for its answers, at most the plan's timeout."""
        for _ in range(self.plan.clients):
            await self._connect()
        self._began = self._loop.time()
        if self.plan.arrival in ("single", "closed"):
            for _ in range(self.plan.clients):
                self._arrive(self.now())
        else:
            for at in self.plan.schedule().tolist():
                if (early := at - self.now()) > 0:
                    await asyncio.sleep(early)
                self._arrive(at)
        await self._settled()
        for connection in list(self._open):
            connection.close()

    async def _settled(self) -> None:
        closed = self.plan.arrival in ("single", "closed")
        left = self.plan.timeout_s + (self.plan.seconds if closed else 0.0)
        try:
            async with asyncio.timeout(left):
                while self._unanswered:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return

    async def _connect(self) -> None:
        _, connection = await asyncio.wait_for(
            self._loop.create_connection(lambda: ClientConnection(self), "127.0.0.1", self.plan.port), CONNECT_S
        )
        self._open.add(connection)
        self._free.append(connection)

    def _arrive(self, at: float) -> None:
        """A request arrives; it is sent as soon as a connection is free."""
        self.scheduled.append(at)
        self._unanswered += 1
        self._waiting.append(len(self.scheduled) - 1)
        self._send_waiting()
        more = self.plan.arrival == "open" and len(self._open) + self._opening < MAX_CONNECTIONS
        if len(self._waiting) > self._opening and more:
            self._opening += 1
            self._loop.create_task(self._open_one_more())

    async def _open_one_more(self) -> None:
        try:
            await self._connect()
        except (OSError, TimeoutError):
            return
        finally:
            self._opening -= 1
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._free:
            self._free.pop().send(self._waiting.popleft())

    def finished(self, connection: ClientConnection, number: int, answer: bytes) -> None:
        """An answer is complete."""
        self.ended[number] = (self.now(), answer)
        self._free.append(connection)
        self._unanswered -= 1
        if self.plan.arrival in ("single", "closed") and self.now() < self.plan.seconds:
            self._arrive(self.now())
        self._send_waiting()
        if not self._unanswered:
            self._idle.set()

    def lost(self, connection: ClientConnection) -> None:
        """A connection was lost: its request gets no answer, and a new connection replaces it."""
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if connection.number is not None:
            self._unanswered -= 1
            if not self._unanswered:
                self._idle.set()
        if self._unanswered and self._waiting:
            self._opening += 1
            self._loop.create_task(self._open_one_more())


def records(load: LoadGenerator, expected: Array) -> Array:
    """One record per request; `expected` holds the logits of the payload's requests."""
    result = np.zeros(len(load.scheduled), RECORD)
    for number, scheduled in enumerate(load.scheduled):
        ended, answer = load.ended.get(number, (np.nan, b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head[9:12]) if head else 0
        batch = BATCH.search(head)
        parts = [float(found[1]) if (found := one.search(head)) else np.nan for one in PARTS.values()]
        error = np.nan
        if status == 200:
            wanted = expected[number % len(expected)]
            logits = np.frombuffer(body, "<f4")
            error = float(np.abs(logits - wanted).max()) if logits.shape == wanted.shape else np.inf
        sent = load.sent.get(number, np.nan)
        result[number] = (scheduled, sent, ended, status, load.plan.rows, int(batch[1]) if batch else 0, *parts, error)
    return result


def requests_of(images: Array, rows: int) -> list[bytes]:
    """The payload's images as complete HTTP requests of `rows` images each."""
    bodies = [images[start : start + rows].astype("<f4").tobytes() for start in range(0, len(images), rows)]
    head = b"POST /predict HTTP/1.1\r\nHost: tinylab\r\nContent-Type: application/octet-stream\r\n"
    return [b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body) for body in bodies]


def main() -> None:
    """Sends one load, as given by the command line and standard input."""
    plan = LoadPlan(**json.loads(sys.stdin.readline()))
    with np.load(sys.argv[1]) as payload:
        images, logits = payload["images"], payload["logits"]
    usable = len(images) // plan.rows * plan.rows
    requests = requests_of(images[:usable], plan.rows)
    gc.disable()  # a collection would count as latency of the server

    async def send() -> LoadGenerator:
        load = LoadGenerator(plan, requests)
        await load.run()
        return load

    # select() has microsecond timeouts; epoll rounds to milliseconds, which would delay every arrival
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        load = runner.run(send())
    answers = logits[:usable].reshape(len(requests), -1)
    np.save(sys.stdout.buffer, records(load, answers))


if __name__ == "__main__":
    main()
