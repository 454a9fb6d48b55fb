"""What goes wrong with TinyJit without a word, with an error, or on the clock, and what mends it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from experiments.bench.columns import Column, Value
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import Need, Spec, experiment
from experiments.compiler.jit_traps.pitfalls import PITFALLS, PitfallKind, PitfallName, PitfallOutcome

if TYPE_CHECKING:
    import pandas as pd

EFFECTS: dict[PitfallKind, tuple[str, str]] = {
    "silent": ("is silent", "are silent"),
    "error": ("raises", "raise"),
    "timing": ("falsifies a time", "falsify a time"),
}


class JitTrapsSpec(Spec):
    """Which traps to walk into, and how large the matrices of those on the clock are."""

    traps: list[PitfallName] = Field(
        list(PITFALLS), min_length=1, max_length=len(PITFALLS), title="Traps", description="to walk into, each once"
    )
    size: int = Field(
        512,
        ge=2,
        le=4096,
        title="Matrix size n",
        description="of the traps on the clock; a fast GPU wants 2048 or more to be busy for longer than a call takes",
    )

    def need(self) -> Need:
        """Inputs, intermediate results and the float64 reference."""
        return Need(64 * self.size**2, f"matrices of {self.size}x{self.size} and their reference")


@experiment(
    section="Compiler",
    title="JIT traps",
    question="What goes wrong with TinyJit without a word, what raises, which times are false, and what mends it?",
    compares="what was expected, what came, and the mend, for each of 13 traps",
    spec=JitTrapsSpec,
    presets={
        "course": JitTrapsSpec(),
        "gpu": JitTrapsSpec(size=2048),
        "quick": JitTrapsSpec(size=128),
    },
    columns=[
        Column("trap", "text", "what one does"),
        Column("kind", "text", "silent: a wrong result without a word; error: it raises; timing: a wrong time"),
        Column("expected", "text", "what one expects"),
        Column("observed", "text", "what was seen here"),
        Column("mended", "text", "what was seen with the mend"),
        Column("safe", "boolean", "true where this device and version do not show the trap"),
        Column("mend", "text", "the line that mends it"),
        Column("claimed_ms", "number", "time of one call by the trapped clock; of timing traps only"),
        Column("true_ms", "number", "time of one call, measured rightly; of timing traps only"),
        "verdict",
        Column("source", "text", "where the trap was told"),
    ],
    grid=(),
    summary=("kind", "variant", "expected", "observed", "mended", "safe"),
    answer=lambda frame: answer(frame),
)
def jit_traps(spec: JitTrapsSpec, bench: Bench) -> Iterator[Row]:
    """Walks into each trap of TinyJit on this device and version, then mends it and looks again.

    A trap is safe where the trapped code gives what one expects. A mend that does not give it has the verdict
    `wrong`, a trap that could not be tried `failed`; otherwise there is no verdict. Traps that give wrong
    values or raise run on a few numbers; those on the clock on products of n x n matrices, as the least of
    five rounds, and where kernels can be counted their number decides whether the trap shows. On the default
    CPU device kernels run inside the call, so a clock without a wait does no harm there.
    Not measured: what a trap or its mend costs beyond these numbers, a shorter vector than the captured one
    (the program would read past its end), and traps of several devices.
    Source: issues of tinygrad, tinygrad's own test of JIT footguns, the JIT part of the tinygrad course.
    """
    from experiments.compiler.jit_traps import timing_pitfalls, value_pitfalls

    chosen = list(dict.fromkeys(spec.traps))
    for number, name in enumerate(chosen):
        bench.progress(number / len(chosen), f"trap {number + 1} of {len(chosen)}: {name}")
        on_the_clock = timing_pitfalls.CHECKS.get(name)
        if on_the_clock is not None:
            yield _row(name, partial(on_the_clock, bench.device, spec.size))
        else:
            yield _row(name, partial(value_pitfalls.CHECKS[name], bench.device))


def _row(name: PitfallName, show: Callable[[], PitfallOutcome]) -> Row:
    """The row of one trap; whatever else it raises is its own failure and none of the others'."""
    told = PITFALLS[name]
    values: dict[str, Value] = {"variant": name, "trap": told.trap, "kind": told.kind, "mend": told.mend}
    values["source"] = told.source
    try:
        seen = show()
    except Exception as error:  # noqa: BLE001 - one trap must not spoil the others
        from experiments.bench.errors import one_line

        return Row({**values, "observed": one_line(error), "verdict": "failed"})
    return Row(
        {
            **values,
            "expected": seen.expected,
            "observed": seen.observed,
            "mended": seen.mended,
            "safe": seen.safe,
            "claimed_ms": seen.claimed_ms,
            "true_ms": seen.true_ms,
            "verdict": None if seen.right else "wrong",
        }
    )


def answer(frame: "pd.DataFrame") -> str:
    """One sentence: how many traps bite, of which kind, which do no harm here, and which mends do not help."""
    tried = frame[frame["safe"].notna()]
    if tried.empty:
        return ""
    safe = tried["safe"].astype(bool)
    bitten = tried[~safe]
    said = f"On {tried['device'].iloc[0]} {len(bitten)} of {len(tried)} traps bite"
    parts = []
    for kind, (one, many) in EFFECTS.items():
        names = _words(bitten[bitten["kind"] == kind])
        if names:
            parts.append(f"{len(names)} {one if len(names) == 1 else many} ({', '.join(names)})")
    said += f": {', '.join(parts)}" if parts else ""
    if harmless := _words(tried[safe]):
        said += f"; {', '.join(harmless)} {'does' if len(harmless) == 1 else 'do'} no harm here"
    if helpless := _words(tried[tried["verdict"] == "wrong"]):
        return said + f". The mend does not help against {', '.join(helpless)}."
    return said + "; every mend gives what was expected."


def _words(rows: "pd.DataFrame") -> list[str]:
    return [str(name).replace("_", " ") for name in rows["variant"]]
