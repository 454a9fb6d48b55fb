"""Replicas in a process per device: `python -m experiments.deployment.multi_device.processes`."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.machine.toolchain import child_environment
from experiments.deployment.multi_device.workload import MultiDeviceWorkload

GO, RESULTS = "go", "results"


class ReplicaProcesses:
    """One process with the whole network for each device; batch i goes to process i modulo their number."""

    def __init__(self, work: dict[str, Any], devices: Sequence[str]) -> None:
        self._count = work["batches"]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "experiments.deployment.multi_device.processes"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=child_environment(device),
            )
            for device in devices
        ]
        for number, (process, device) in enumerate(zip(self._processes, devices, strict=True)):
            self._tell(process, json.dumps({"work": work, "device": device, "mine": [number, len(devices)]}))
        self.cpu_s = self.wall_s = 0.0
        for process in self._processes:
            self._hear(process)

    def call(self) -> None:
        """Every batch once, the processes side by side; adds what they used to `cpu_s` and `wall_s`."""
        began = time.perf_counter()
        self.cpu_s += sum(float(one) for one in self._ask(GO))
        self.wall_s += time.perf_counter() - began

    def results(self) -> Array:
        """The logits of all batches one under the other."""
        answers = [json.loads(one) for one in self._ask(RESULTS)]
        parts = [answers[number % len(answers)][number // len(answers)] for number in range(self._count)]
        return np.concatenate([np.array(part, np.float32) for part in parts])

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            process.communicate()

    def _ask(self, question: str) -> list[str]:
        for process in self._processes:
            self._tell(process, question)
        return [self._hear(process) for process in self._processes]

    def _tell(self, process: "subprocess.Popen[str]", line: str) -> None:
        assert process.stdin  # noqa: S101 - asked for above
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def _hear(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout  # noqa: S101 - asked for above
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a replica's process ended with code {process.wait()}")
        return line


def main() -> None:
    """Holds one replica, and computes its share of the batches whenever it is told to."""
    from experiments.deployment.multi_device.placements import replicas

    given = json.loads(sys.stdin.readline())
    whole, (number, count) = MultiDeviceWorkload.of(**given["work"]), given["mine"]
    mine = MultiDeviceWorkload(whole.network, whole.weights, whole.batches[number::count])
    laid = replicas(mine, [given["device"]], resident=True) if mine.batches else None
    print("ready", flush=True)  # noqa: T201 - the parent listens
    for line in sys.stdin:
        began = time.process_time()
        if line.strip() == RESULTS:
            rows = len(whole.batches[0])
            answer = [part.tolist() for part in laid.results().reshape(-1, rows, whole.network.classes)] if laid else []
            print(json.dumps(answer), flush=True)  # noqa: T201 - as above
            continue
        if laid:
            laid.call()
        print(time.process_time() - began, flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
