"""Measures presets and writes them as bundled example results; run it on an idle machine.

    python -m tests.benchmarks.bundle_examples MACHINE "NAME OF THE MACHINE" DEVICE FOLDER EXPERIMENT:PRESET …

A run that fails is reported and left out. So are the files of a run where they are large, so that all examples together
stay a few MB.
"""

import hashlib
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.registry import find
from experiments.runs import bundle, jobs, run_data, store

MAX_FILES_BYTES = 600 * 1024  # of a run, above which its files are left out
TIME_LIMIT_S = 900


def measure_and_bundle(machine: str, title: str, device: str, folder: Path, experiment: str, preset: str) -> str:
    """Measures one preset and writes its bundle; returns the outcome in one line."""
    one = find(experiment)
    spec = parse(one.spec, {**one.preset(preset).model_dump(), "device": device})
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        measured, bundled = (f"sqlite:///{home}/{name}.db" for name in ("measured", "bundled"))
        run_id = jobs.run_now(one.name, spec, url=measured, time_limit_s=TIME_LIMIT_S)
        found = run_data.read(store.engine(measured), run_id)
        if found is None or found.run["status"] != "done":
            return f"{experiment}:{preset} {found.run['status'] if found else 'gone'}: {found and found.run['message']}"
        if sum(len(content) for content in found.artifacts.values()) > MAX_FILES_BYTES:
            found = replace(found, artifacts={})
        found.run.pop("imported", None)
        db = store.engine(bundled)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in found.artifacts.items()}
        run_data.add(db, found, hashes)
        store.describe(db, run_id, f"Example: {title} · {preset}", "", "example")
        file = folder / f"{experiment}-{machine}-{run_id}.zip"
        file.write_bytes(bundle.export(db, run_id))
    return f"{file.name} {file.stat().st_size:,} bytes, {time.monotonic() - started:.0f} s, {len(found.rows)} rows"


def main(machine: str, title: str, device: str, folder: str, *presets: str) -> None:
    """Measures the presets one after another."""
    for one in presets:
        experiment, _, preset = one.partition(":")
        try:
            print(measure_and_bundle(machine, title, device, Path(folder), experiment, preset), flush=True)
        except BadInput as refused:
            print(f"{one} refused: {refused}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
