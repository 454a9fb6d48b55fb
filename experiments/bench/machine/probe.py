"""Tries one device in this process: `python -m experiments.bench.machine.probe CUDA` prints one line of JSON."""

import json
import sys
import time

from experiments.bench.errors import one_line
from experiments.bench.machine.devices import Probe, as_record


def try_device(name: str) -> Probe:
    """Compiles and runs 2 * [1, 2, 3] on `name` and reads it back: expected [2, 4, 6]."""
    started = time.perf_counter()
    try:
        from tinygrad import Device, Tensor

        seen = (Tensor([1.0, 2.0, 3.0], device=name) * 2).tolist()
        if seen != [2.0, 4.0, 6.0]:
            return Probe(name, False, f"computed {seen} instead of [2.0, 4.0, 6.0]")
        device = Device[name]
        what = f"{type(device.renderer).__name__.removesuffix('Renderer')} {device.renderer.target}"
        return Probe(name, True, what, _count(device, name), time.perf_counter() - started)
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the answer
        return Probe(name, False, one_line(error), 0, time.perf_counter() - started)


def _count(device: object, name: str) -> int:
    """Cards of this kind. Virtual CPU devices are unlimited and serial, so the CPU counts as one."""
    count = getattr(device, "count", None)
    return int(count()) if callable(count) and name.split(":")[0] not in ("CPU", "PYTHON") else 1


if __name__ == "__main__":
    sys.stdout.write(json.dumps(as_record(try_device(sys.argv[1]))) + "\n")
