"""The inference process: `python -m experiments.server.worker FD SETTINGS`, started by the server.

Nothing but it touches the device, and by one thread. It compiles, says that it is ready, and then answers one batch
after the other until its socket ends; so it ends with the server, however that ends.
"""

import gc
import importlib
import json
import os
import signal
import socket
import struct
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from experiments.bench.errors import one_line
from experiments.server import frames
from experiments.server.engines import BatchRunner, described
from experiments.server.settings import InferenceSettings

EXIT_FATAL = 1


class ConnectionClosed(Exception):
    """The other end of the socket is closed."""


def serve(connection: socket.socket, runners: Sequence[BatchRunner]) -> None:
    """Answers batches until the server has gone. A batch goes to the smallest bucket that holds it."""
    sizes = [one.batch for one in runners]
    inputs = [memoryview(one.input.data).cast("B") for one in runners]
    while True:
        head = frames.parse(bytes(_receive(connection, memoryview(bytearray(frames.HEADER.size)))))
        place = bisect_left(sizes, head.rows)
        runner = runners[place]
        _receive(connection, inputs[place][: head.size])
        runner.input[head.rows :] = 0
        try:
            began = time.perf_counter()
            logits = np.ascontiguousarray(runner.run()[: head.rows], np.float32)
            took = struct.pack("<d", time.perf_counter() - began)
            kind, payload = frames.RESULT, took + logits.tobytes()
        except Exception as error:  # noqa: BLE001 - one batch that fails must not end the service
            kind, payload = frames.FAILED, one_line(error).encode()
        connection.sendall(frames.header(kind, len(payload), head.number, head.rows) + payload)


def _receive(connection: socket.socket, into: memoryview) -> memoryview:
    """Fills `into` from the socket."""
    there = 0
    while there < len(into):
        count = connection.recv_into(into[there:])
        if not count:
            raise ConnectionClosed
        there += count
    return into


def main() -> int:
    """0 where the server has gone, 1 where the model could not be made ready; the cause has then been sent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's: it answers first what it has accepted
    connection = socket.socket(fileno=int(sys.argv[1]))
    try:
        inference = InferenceSettings(**json.loads(sys.argv[2]))
        module, _, name = inference.engine.partition(":")
        runners: Sequence[BatchRunner] = getattr(importlib.import_module(module), name)(inference)
        for one in runners:
            one.run()
        gc.collect()
        gc.freeze()  # what was made for compiling stays: looking through it again would only be heard as a pause
        ready = json.dumps(described(runners)).encode()
        connection.sendall(frames.header(frames.READY, len(ready)) + ready)
        serve(connection, runners)
    except (ConnectionClosed, BrokenPipeError, ConnectionResetError):
        return 0
    except Exception as error:  # noqa: BLE001 - whatever hinders the start is said where somebody reads it
        said = one_line(error).encode()
        connection.sendall(frames.header(frames.FATAL, len(said)) + said)
        return EXIT_FATAL
    return 0


if __name__ == "__main__":
    code = main()
    os._exit(code)  # drivers' threads need no farewell
