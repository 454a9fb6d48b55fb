"""Pitfalls of TinyJit that fail silently, raise, or give a wrong time, and the fix of each."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from experiments.bench.columns import Column, Value, label_of
from experiments.bench.errors import one_line
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import Need, Spec, experiment
from experiments.compiler.jit_traps.pitfalls import PITFALLS, PitfallKind, PitfallName, PitfallOutcome

if TYPE_CHECKING:
    import pandas as pd

EFFECTS: dict[PitfallKind, tuple[str, str]] = {
    "silent": ("fails silently", "fail silently"),
    "error": ("raises", "raise"),
    "timing": ("gives a wrong time", "give wrong times"),
}


class JitTrapsSpec(Spec):
    """Which pitfalls to check, and the matrix size of the timing pitfalls."""

    traps: list[PitfallName] = Field(
        list(PITFALLS),
        min_length=1,
        max_length=len(PITFALLS),
        title="Pitfalls",
        description="the pitfalls to check, each once",
    )
    size: int = Field(
        512,
        ge=2,
        le=4096,
        title="Matrix size n",
        description="matrix size of the timing pitfalls; on a fast GPU give 2048 or more, so that the computation "
        "outlasts the call",
    )

    def need(self) -> Need:
        """Inputs, intermediate results and the float64 reference."""
        return Need(64 * self.size**2, f"matrices of {self.size}x{self.size} and their reference")


@experiment(
    section="Compiler",
    title="JIT pitfalls",
    question="Which TinyJit mistakes fail silently, which raise, which corrupt timings, and how is each fixed?",
    compares="expected result, observed result, and result with the fix, for each of 13 pitfalls",
    spec=JitTrapsSpec,
    presets={
        "course": JitTrapsSpec(),
        "gpu": JitTrapsSpec(size=2048),
        "quick": JitTrapsSpec(size=128),
    },
    columns=[
        Column("trap", "text", "the mistake", label="pitfall"),
        Column("kind", "text", "silent: a wrong result without an error; error: it raises; timing: a wrong time"),
        Column("expected", "text", "expected result"),
        Column("observed", "text", "observed result on this device"),
        Column("mended", "text", "observed result with the fix", label="with the fix"),
        Column("safe", "boolean", "whether the pitfall does not occur on this device and version"),
        Column("mend", "text", "the line that fixes it", label="fix"),
        Column("claimed_ms", "number", "time of one call by the flawed measurement; timing pitfalls only"),
        Column("true_ms", "number", "time of one call, measured correctly; timing pitfalls only"),
        "verdict",
        Column("source", "text", "where the pitfall is documented"),
    ],
    grid=(),
    summary=("kind", "variant", "expected", "observed", "mended", "safe"),
    answer=lambda frame: answer(frame),
)
def jit_traps(spec: JitTrapsSpec, bench: Bench) -> Iterator[Row]:
    """Runs each pitfall of TinyJit on this device and version, then runs it again with the fix.

    A pitfall is safe where the flawed code gives the expected result. A fix that does not give it has the verdict
    `wrong`, a pitfall that could not be run `failed`; otherwise there is no verdict. Silent pitfalls and errors run
    on a few numbers, timing pitfalls on products of n x n matrices, as the minimum of five rounds; where kernels can
    be counted, their number decides whether the pitfall occurs. On the default CPU device kernels run inside the
    call, so a measurement without synchronization is correct there.
    Not measured: what a pitfall or its fix costs beyond these numbers, a vector shorter than the captured one
    (the program would read out of bounds), and pitfalls of several devices.
    Source: issues of tinygrad, tinygrad's own test of JIT footguns, the JIT part of the tinygrad course.
    """
    from experiments.compiler.jit_traps import timing_pitfalls, value_pitfalls

    chosen = list(dict.fromkeys(spec.traps))
    for number, name in enumerate(chosen):
        bench.progress(number / len(chosen), f"pitfall {number + 1} of {len(chosen)}: {name}")
        timing_check = timing_pitfalls.CHECKS.get(name)
        if timing_check is not None:
            yield _row(name, partial(timing_check, bench.device, spec.size))
        else:
            yield _row(name, partial(value_pitfalls.CHECKS[name], bench.device))


def _row(name: PitfallName, check: Callable[[], PitfallOutcome]) -> Row:
    """The row of one pitfall; an unexpected error gives the verdict `failed`."""
    pitfall = PITFALLS[name]
    values: dict[str, Value] = {
        "variant": name,
        "trap": pitfall.mistake,
        "kind": pitfall.kind,
        "mend": pitfall.fix,
        "source": pitfall.source,
    }
    try:
        outcome = check()
    except Exception as error:  # noqa: BLE001 - the other pitfalls are still to be checked
        return Row({**values, "observed": one_line(error), "verdict": "failed"})
    return Row(
        {
            **values,
            "expected": outcome.expected,
            "observed": outcome.observed,
            "mended": outcome.fixed,
            "safe": outcome.safe,
            "claimed_ms": outcome.claimed_ms,
            "true_ms": outcome.true_ms,
            "verdict": None if outcome.fix_works else "wrong",
        }
    )


def answer(frame: "pd.DataFrame") -> str:
    """One sentence: how many pitfalls occur, of which kind, which are safe here, and which fixes do not work."""
    checked = frame[frame["safe"].notna()]
    if checked.empty:
        return ""
    safe = checked["safe"].astype(bool)
    unsafe = checked[~safe]
    sentence = f"On {checked['device'].iloc[0]}, {len(unsafe)} of {len(checked)} pitfalls occur"
    parts = []
    for kind, (singular, plural) in EFFECTS.items():
        names = _names(unsafe[unsafe["kind"] == kind])
        if names:
            parts.append(f"{len(names)} {singular if len(names) == 1 else plural} ({', '.join(names)})")
    sentence += f": {', '.join(parts)}" if parts else ""
    if harmless := _names(checked[safe]):
        sentence += f"; {', '.join(harmless)} {'is' if len(harmless) == 1 else 'are'} safe here"
    if unfixed := _names(checked[checked["verdict"] == "wrong"]):
        return sentence + f". The fix does not work for {', '.join(unfixed)}."
    return sentence + "; every fix gives the expected result."


def _names(rows: "pd.DataFrame") -> list[str]:
    return [label_of(str(name)).replace("_", " ") for name in rows["variant"]]
