"""Replicas in one process per device."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.timing.helper_process import HelperProcess
from experiments.deployment.multi_device.workload import MultiDeviceWorkload

RUN, MOVE, RESULTS = "run", "move", "results"  # the requests that a replica answers


class ReplicaProcesses:
    """A process with the whole network for each device; batch i runs in process i modulo their number."""

    def __init__(self, work: dict[str, Any], devices: Sequence[str]) -> None:
        self._count = work["batches"]
        self._processes = [
            HelperProcess(device, f"{__name__}:replica", work=work, number=number, count=len(devices))
            for number, device in enumerate(devices)
        ]
        self.cpu_s = self.wall_s = 0.0
        for process in self._processes:
            process.wait_until_ready()

    def call(self) -> None:
        """Computes every batch once, in parallel; adds CPU and wall seconds to `cpu_s` and `wall_s`."""
        began = time.perf_counter()
        self.cpu_s += sum(self._request(RUN))
        self.wall_s += time.perf_counter() - began

    def move(self) -> None:
        """Moves every replica to fresh memory."""
        self._request(MOVE)

    def results(self) -> Array:
        """The concatenated logits of all batches."""
        answers = self._request(RESULTS)
        parts = [answers[number % len(answers)][number // len(answers)] for number in range(self._count)]
        return np.concatenate([np.array(part, np.float32) for part in parts])

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.close()

    def _request(self, request: str) -> list[Any]:
        for process in self._processes:
            process.request(request)
        return [process.response() for process in self._processes]


def replica(device: str, work: dict[str, Any], number: int, count: int) -> Callable[[str], Any]:
    """In a helper process: holds one replica and every `count`-th batch from `number` on.

    Its handler answers RUN with the process's CPU seconds for its batches, RESULTS with their logits, and MOVE when
    its memory is elsewhere.
    """
    from experiments.bench.tinygrad.redraw import Memory
    from experiments.deployment.multi_device.placements import replicas

    whole = MultiDeviceWorkload.of(**work)
    mine = MultiDeviceWorkload(whole.network, whole.weights, whole.batches[number::count])
    placed = replicas(mine, [device], resident=True) if mine.batches else None
    memory = Memory({RUN: placed.call} if placed else {})

    def handle(request: str) -> Any:
        began = time.process_time()
        if request == RESULTS:
            rows = len(whole.batches[0])
            logits: Any = placed.results().reshape(-1, rows, whole.network.classes) if placed else []
            return [part.tolist() for part in logits]
        if placed and request == MOVE:
            memory.redraw(RUN)
        elif placed:
            placed.call()
        return time.process_time() - began

    return handle
