"""A well-behaved experiment without tinygrad: rows with samples, a detail and a file, one after the other."""

import time
from collections.abc import Iterator

from pydantic import Field

from experiments.bench.columns import Column
from experiments.bench.rows import Row, Sample
from experiments.bench.session import Bench
from experiments.bench.spec import Need, Spec, experiment


class StepsSpec(Spec):
    """How many rows, and how long each takes."""

    rows: int = Field(3, ge=0, le=10_000, title="Rows", description="how many rows come")
    pause_s: float = Field(0.0, ge=0, le=60, title="Pause [s]", description="what each row takes")
    sizes: list[int] = Field([1, 2], min_length=1, max_length=4, title="Sizes", description="of nothing")
    needs_gb: float = Field(0.0, ge=0, le=1e6, title="Needs [GB]", description="memory that it claims to need")

    def need(self) -> Need:
        """What the test says."""
        return Need(int(self.needs_gb * 1e9), f"a claim of {self.needs_gb:g} GB")


@experiment(
    section="Compiler",
    title="Steps",
    question="Does a run arrive as it was measured?",
    spec=StepsSpec,
    presets={"quick": StepsSpec(rows=2), "slow": StepsSpec(rows=600, pause_s=0.1)},
    grid=(),
    columns=[Column("number", "integer", "of the row"), Column("wait_s", "number", "what it took"), "latency_ms"],
    details={"log": [Column("number", "integer", "of the row"), Column("said", "text", "what it said")]},
    summary=("variant", "number", "wait_s"),
    answer=lambda frame: f"{len(frame)} steps were made.",
)
def steps(spec: StepsSpec, bench: Bench) -> Iterator[Row]:
    """Counts; each row is a nap."""
    for number in range(spec.rows):
        bench.progress(number / spec.rows, f"step {number}")
        time.sleep(spec.pause_s)
        bench.detail("log", [{"number": number, "said": f"step {number}"}])
        values = {"variant": "nap", "number": number, "wait_s": spec.pause_s, "latency_ms": float("nan")}
        yield Row(values, [Sample("block", 1, [0.25, 0.5]), Sample("single", 1, [0.125])])
    bench.artifact("steps.txt", f"{spec.rows} steps".encode())
