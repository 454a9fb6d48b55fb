"""The inference process: `python -m experiments.server.worker FD SETTINGS`, started by the server.

The only process that uses the device, with one thread. It compiles, reports that it is ready and then computes one
batch after the other until its socket closes, so it exits with the server, however that exits.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from experiments.bench.errors import one_line
from experiments.server import protocol
from experiments.server.engines import BatchRunner, descriptions
from experiments.server.protocol import InferenceSettings

EXIT_FATAL = 1


class ConnectionClosed(Exception):
    """The server closed the socket."""


def serve(connection: socket.socket, runners: Sequence[BatchRunner]) -> None:
    """Computes batches until the socket closes, each with the runner of the smallest batch size that holds it."""
    sizes = [runner.batch for runner in runners]
    inputs = [memoryview(runner.input.data).cast("B") for runner in runners]
    while True:
        head = protocol.parse(bytes(_receive(connection, memoryview(bytearray(protocol.HEADER.size)))))
        index = bisect_left(sizes, head.rows)
        runner = runners[index]
        _receive(connection, inputs[index][: head.size])
        runner.input[head.rows :] = 0
        try:
            began = time.perf_counter()
            logits = np.ascontiguousarray(runner.run()[: head.rows], np.float32)
            seconds = protocol.SECONDS.pack(time.perf_counter() - began)
            kind, payload = protocol.RESULT, seconds + logits.tobytes()
        except Exception as error:  # noqa: BLE001 - one failed batch must not stop the service
            kind, payload = protocol.FAILED, one_line(error).encode()
        connection.sendall(protocol.header(kind, len(payload), head.number, head.rows) + payload)


def _receive(connection: socket.socket, into: memoryview) -> memoryview:
    """Fills `into` from the socket."""
    filled = 0
    while filled < len(into):
        count = connection.recv_into(into[filled:])
        if not count:
            raise ConnectionClosed
        filled += count
    return into


def main() -> int:
    """0 after the socket closed, 1 if the model could not be loaded; the server then has the reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C: it answers accepted requests first
    connection = socket.socket(fileno=int(sys.argv[1]))
    try:
        settings = InferenceSettings(**json.loads(sys.argv[2]))
        module, _, name = settings.engine.partition(":")
        runners: Sequence[BatchRunner] = getattr(importlib.import_module(module), name)(settings)
        for runner in runners:
            runner.run()
        gc.collect()
        gc.freeze()  # compile-time objects stay alive: excluding them from later collections avoids pauses
        ready = json.dumps(descriptions(runners)).encode()
        connection.sendall(protocol.header(protocol.READY, len(ready)) + ready)
        serve(connection, runners)
    except (ConnectionClosed, BrokenPipeError, ConnectionResetError):
        return 0
    except Exception as error:  # noqa: BLE001 - every failure to start is reported to the server
        reason = one_line(error).encode()
        connection.sendall(protocol.header(protocol.FATAL, len(reason)) + reason)
        return EXIT_FATAL
    return 0


if __name__ == "__main__":
    code = main()
    os._exit(code)  # do not join the threads of device drivers
