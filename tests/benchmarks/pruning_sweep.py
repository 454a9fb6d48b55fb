"""What a pruning sweep costs: `python -m tests.benchmarks.pruning_sweep [sweep] [step]`.

`sweep`: the experiment from the command line, ten sparsities of the mlp, 300 fine-tuning steps each, 3 seeds; Python's
start, the one compilation (what this machine has kept of it is used), the files and the timing of every row are in the
time. Goal of issue 6: under 4 minutes on 2 cores. `step`: a step with masks, as always, against one that was compiled
without, in turns. Goal: under 10% more.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from experiments.bench.machine.toolchain import child_environment
from tests.benchmarks.sizes import size

ROOT = Path(__file__).parents[2]
GOAL_S, GOAL_RATIO = 240, 1.10
BLOCKS = size(40, 6)

SWEEP = (
    *("-m", "experiments", "run", "pruning", "network=mlp", "method=magnitude"),
    *size(("fine_tune_steps=300", "seeds=3"), ("fine_tune_steps=2", "seeds=1")),
    size("sparsity=0,0.5,0.6,0.7,0.8,0.9,0.95,0.97,0.98,0.99", "sparsity=0,0.9"),
    *("device=CPU", "--no-store"),
)


def steps() -> None:
    """In a process of its own: prints seconds of one step with masks and of one compiled without, block by block."""
    from tinygrad import Device

    from experiments.models.sequential.network import NETWORKS
    from experiments.models.training.trainer import Trainer

    class Unmasked(Trainer):
        def _masked(self, name: str, moved: Any) -> Any:
            return moved

    def seconds(trainer: Trainer) -> float:
        began = time.perf_counter()
        for number in range(32):
            trainer._step(trainer._number.bind(number))
        Device["CPU"].synchronize()
        return (time.perf_counter() - began) / 32

    trainers = [kind(NETWORKS["mlp"]()) for kind in (Trainer, Unmasked)]
    for trainer in trainers:
        trainer.set_masks({})
        seconds(trainer)
    for _ in range(BLOCKS):
        took = {number: seconds(trainers[number]) for number in random.sample(range(2), 2)}
        print(took[0], took[1])


def child(arguments: Sequence[str]) -> tuple[str, float]:
    """What Python prints in a process of its own, and the seconds it takes; what it complains of is shown."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        env=child_environment("CPU"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout, time.perf_counter() - began


def main(names: list[str]) -> None:
    load = f"load {psutil.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    if "sweep" in names:
        said, seconds = child(SWEEP)
        print(f"{said}sweep: {seconds:.0f} s (goal {GOAL_S}), {load}", flush=True)
    if "step" in names:
        from experiments.bench.statistics.series import paired_ratio

        printed = child(["-m", "tests.benchmarks.pruning_sweep", "--steps"])[0]
        pairs = [tuple(map(float, line.split())) for line in printed.splitlines() if line]
        masked, plain = ([pair[side] for pair in pairs] for side in (0, 1))
        ratio = paired_ratio(masked, plain)
        print(
            f"step: masked/dense {ratio.median:.3f} (95% CI {ratio.lo:.3f} to {ratio.hi:.3f}; goal {GOAL_RATIO}), "
            f"{min(masked) * 1e3:.2f} and {min(plain) * 1e3:.2f} ms at best, {load}"
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["--steps"]:
        steps()
    else:
        main(sys.argv[1:] or ["sweep", "step"])
