"""Accuracy, size and latency of all techniques and their combinations, and a front that can be trusted."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from experiments.bench.challenge import Achievement, Challenge, rows_where
from experiments.bench.columns import COMPILED, TIMED, Column
from experiments.bench.errors import one_line
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import MeasuredSpec, Need, experiment
from experiments.studies.tradeoffs.grid import (
    Choice,
    Grid,
    choices,
    execution_of,
    pruning_of,
    quantization_of,
)
from experiments.studies.tradeoffs.measuring import Record, factors_of, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from experiments.models.builder import BuiltModel
    from experiments.models.recipe import Recipe
    from experiments.studies.tradeoffs.calls import Ready

MOST_VARIANTS = 600
GIVEN_UP = "the budget of minutes was spent before this model was begun"
Hidden = Annotated[int, Field(ge=1, le=2048)]


class TradeoffsSpec(MeasuredSpec):
    """A grid of techniques: every combination of the levels is made, tested and timed."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5"] = Field(
        "mlp", title="Network", description="trained on MNIST; the carried checkpoint where the recipe allows it"
    )
    hidden: list[Hidden] = Field(
        [], max_length=6, title="Hidden widths", description="units of the first hidden layer; empty: the network's own"
    )
    batch: list[Annotated[int, Field(ge=1, le=1024)]] = Field(
        [1], min_length=1, max_length=6, title="Batch sizes", description="images of one call; each has its own front"
    )
    execution: list[Annotated[str, AfterValidator(execution_of)]] = Field(
        ["eager", "jit"], min_length=1, max_length=8, title="Execution", description="eager, jit, jit+beam=N"
    )
    pruning: list[Annotated[str, AfterValidator(pruning_of)]] = Field(
        ["none", "unstructured 0.9"],
        min_length=1,
        max_length=20,
        title="Pruning",
        description="none, unstructured 0.9: this share of the weights goes; structured 0.5: this share of the units "
        "stays; both: structured 0.5 unstructured 0.7",
    )
    quantization: list[Annotated[str, AfterValidator(quantization_of)]] = Field(
        ["none", "static 8"],
        min_length=1,
        max_length=15,
        title="Quantization",
        description="none, weight-only 8 (stored as integers), static 8 (computed as integers); 2 to 8 bits",
    )
    distilled: list[Literal["no", "yes"]] = Field(
        ["no"], min_length=1, max_length=2, title="Distilled", description="yes: trained on a larger network's answers"
    )
    tune_steps: int = Field(
        2500, ge=0, le=100_000, title="Fine-tuning steps", description="in which a network is pruned and trained on"
    )
    search_s: float = Field(
        60, ge=1, le=3600, title="Search budget [s]", description="of one BEAM search, which is ended then"
    )
    seeds: list[Annotated[int, Field(ge=0, le=10_000)]] = Field(
        [0], min_length=1, max_length=6, title="Seeds", description="of the trainings; each has its own front"
    )
    minutes: float = Field(
        15,
        ge=0.1,
        le=24 * 60,
        title="Budget [min]",
        description="a grid that is estimated to take longer is refused; models not begun by then are given up",
    )

    @property
    def grid(self) -> Grid:
        """All that this study makes and measures."""
        levels: list[Sequence[str | int]] = [
            self.execution,
            self.pruning,
            self.quantization,
            self.distilled,
            self.hidden or [0],
        ]
        return Grid(
            self.network,
            tuple(dict.fromkeys(self.batch)),
            tuple(dict.fromkeys(self.seeds)),
            choices(levels),
            self.tune_steps,
            self.budget_s,
            self.search_s,
        )

    @model_validator(mode="after")
    def _small_enough(self) -> "TradeoffsSpec":
        grid = self.grid
        if grid.variants > MOST_VARIANTS:
            point = replace(grid, seeds=grid.seeds[:1], batches=grid.batches[:1])
            minutes = point.minutes(point.models()) * grid.variants / point.variants  # about: models are shared
            raise ValueError(
                f"{grid.variants:,} variants would take about {minutes:,.0f} minutes; ask for a smaller grid, "
                f"at most {MOST_VARIANTS} variants"
            )
        minutes = grid.minutes(grid.models())
        if minutes > self.minutes:
            raise ValueError(
                f"{grid.variants} variants would take about {minutes:.1f} minutes, more than the {self.minutes:g} of "
                "`minutes`; ask for a smaller grid or for more minutes"
            )
        return self

    def need(self) -> Need:
        """All models of a grid point at once, as float32."""
        from experiments.models.recipe import full_network
        from experiments.models.sequential.network import parameter_count

        largest = max(parameter_count(full_network(one)) for one in self.grid.recipes(self.seeds[0]).values())
        return Need(8 * largest * len(self.grid.choices), f"a grid point of {len(self.grid.choices)} variants")


@experiment(
    section="Compression",
    title="Trade-offs",
    question="Which combination of JIT, pruning, quantization and distillation is worth it: accuracy, size or speed?",
    compares="every combination of execution, pruning, quantization and distillation",
    spec=TradeoffsSpec,
    presets={
        "course": TradeoffsSpec(batch=[32]),
        "full": TradeoffsSpec(
            batch=[1, 32],
            pruning=[
                *("none", "unstructured 0.7", "unstructured 0.9", "structured 0.5"),
                "structured 0.5 unstructured 0.7",
            ],
            quantization=["none", "weight-only 8", "static 8", "weight-only 4", "static 4"],
            distilled=["no", "yes"],
            minutes=60,
        ),
        "quick": TradeoffsSpec(pruning=["none", "unstructured 0.5"], tune_steps=0, budget_s=0.3),
    },
    columns=[
        Column("network", "text", "the network before anything is taken away"),
        Column("batch", "integer", "images of one call"),
        Column("seed", "integer", "of the training"),
        Column("execution", "text", "eager, captured by the JIT, or captured after a BEAM search of this width"),
        Column("pruning", "text", "what was taken away"),
        Column("quantization", "text", "how weights are stored, for static also computed with, and their bits"),
        Column("distilled", "text", "whether it was trained on a larger network's answers"),
        Column("hidden", "integer", "units of the first hidden layer; 0: as the network has them"),
        Column("recipe", "text", "the hash of the model's recipe: its file is called so"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("accuracy_loss", "number", "accuracy that is lost against the baseline; below 0 it is gained"),
        Column("accuracy_loss_lo", "number", "lower end of its 95 % interval, from the same test images"),
        Column("accuracy_loss_hi", "number", "upper end of that interval"),
        Column("validation_accuracy", "number", "top-1 on the validation images, by which a variant is picked"),
        *("parameters", "nonzero", "size_bytes", "compression"),
        *TIMED,
        *COMPILED,
        *("throughput_per_s", "max_abs_error"),
        Column("p_front", "number", "share of resamples in which no other variant dominates this one"),
        Column("front", "boolean", "false where one single other variant dominates it in at least 95 % of resamples"),
        Column("dominated_by", "text", "the variant that puts it off the front"),
    ],
    grid=("network", "batch", "seed"),
    summary=(
        *("batch", "variant", "accuracy", "size_bytes", "compression", "latency_ms", "speedup", "verdict"),
        *("p_front", "front"),
    ),
    details={
        "models": [
            Column("recipe", "text", "the hash of the recipe"),
            Column("text", "text", "the recipe, as JSON"),
            Column("size_bytes", "integer", "of the file"),
            Column("accuracy", "number", "on the test images, of the restored file"),
            Column("validation_accuracy", "number", "on the validation images"),
            Column("kept", "boolean", "whether it had been made before and was taken as it is"),
            Column("seconds", "number", "that it took to make, when it was made", "s"),
        ],
        "effects": [
            Column("batch", "integer", "images of one call"),
            Column("seed", "integer", "of the training"),
            Column("factor", "text", "what was changed"),
            Column("level", "text", "to what, from the first level of the grid"),
            Column("with_factor", "text", "of an interaction: what was changed beside it"),
            Column("with_level", "text", "to what"),
            Column("response", "text", "accuracy (difference, 0..1), latency or bytes (factors)"),
            Column("effect", "number", "mean over all settings of the other factors"),
            Column("effect_lo", "number", "lower end of its 95 % interval"),
            Column("effect_hi", "number", "upper end of that interval"),
            Column("settings", "integer", "how many differences it averages"),
        ],
        "failures": [
            Column("variant", "text", "what failed"),
            Column("batch", "integer", "images of one call; empty where the model could not be made"),
            Column("seed", "integer", "of the training"),
            Column("message", "text", "why, in one line"),
        ],
    },
    plan=lambda spec: spec.grid.plan(),
    answer=lambda frame: answer(frame),
    challenge=Challenge(
        goal="Keep the CNN within 1 point of its dense float32 accuracy in a file at least 8x smaller, which fewer "
        "bits alone do not reach.",
        question="What does each of the two techniques give alone, and why is the whole not their product?",
        start="course",
        met=lambda frame: eight_times(frame),
    ),
)
def tradeoffs(spec: TradeoffsSpec, bench: Bench) -> Iterator[Row]:
    """Makes every combination of techniques, then times all of them side by side, and says which are the front.

    First each model is made once: trained (or distilled), pruned while it is trained on, quantised, packed into one
    file, restored from it and tested, all on the whole MNIST test set of 10,000; a model that this machine has made
    before is taken as it is. Then all variants of a batch size are timed in the same blocks with the baseline, eager
    float32 dense, on images that are on the device. `size_bytes` is the file; `compression` compares it with the
    float32 bytes of the dense baseline; losses of accuracy are paired image by image. For the front, images and
    blocks are resampled together: `p_front` is the share of resamples in which no other variant is as good in
    accuracy, latency and bytes and better in one; a variant is off the front only where one single other dominates
    it in at least 95 % of them. Within 1 point is judged on the validation images, reported on the test images. The
    output of every variant is compared with its float twin in numpy.

    Not measured: equal training for all (a pruned network has been trained `tune_steps` longer than a dense one);
    getting images to the device; speed from zeros, which tinygrad's dense kernels multiply like any other number.
    Source: Deb 2001, Multi-Objective Optimization (dominance); Efron & Tibshirani 1993 (the paired bootstrap).
    """
    made, failed = _make(spec, bench)
    points = [(seed, batch) for seed in spec.grid.seeds for batch in spec.grid.batches]
    for number, (seed, batch) in enumerate(points):
        yield from _measure(spec, bench, made, failed, batch, seed, 0.5 + number / (2 * len(points)))


def _make(spec: TradeoffsSpec, bench: Bench) -> tuple[dict["Recipe", "BuiltModel"], dict["Recipe", str]]:
    """Phase 1: every model once, and the message of each that could not be made."""
    from experiments.models.builder import build_model
    from experiments.models.format import tensor_file

    made: dict[Recipe, BuiltModel] = {}
    failed: dict[Recipe, str] = {}
    models, began = spec.grid.models(), time.monotonic()
    for number, recipe in enumerate(models):
        done = number / (2 * len(models))

        def say(fraction: float, message: str, done: float = done) -> None:
            bench.progress(done + fraction / (2 * len(models)), message)

        say(0, f"model {number + 1} of {len(models)}")
        if time.monotonic() - began > spec.minutes * 60:
            failed[recipe] = GIVEN_UP
            continue
        try:
            one = build_model(recipe, bench.device, say)
        except Exception as error:  # noqa: BLE001 - whatever one model raises is said in its row; the study goes on
            failed[recipe] = one_line(error)
            continue
        made[recipe] = one
        bench.artifact(f"{recipe.hash}.tinylab", one.file)
        bench.detail("models", [_model_record(one)])
    answers = {one.hash: np.packbits(made[one].correct) for one in made}
    images = max((len(one.correct) for one in made.values()), default=0)
    bench.artifact("answers.safetensors", tensor_file.encode(answers, {"images": str(images)}))
    return made, failed


def _model_record(made: "BuiltModel") -> Record:
    return {
        "recipe": made.recipe.hash,
        "text": made.recipe.json(),
        "size_bytes": len(made.file),
        "accuracy": float(made.correct.mean()),
        "validation_accuracy": made.validation_accuracy,
        "kept": made.from_cache,
        "seconds": made.seconds,
    }


def _measure(
    spec: TradeoffsSpec,
    bench: Bench,
    made: dict["Recipe", "BuiltModel"],
    failed: dict["Recipe", str],
    batch: int,
    seed: int,
    done: float,
) -> Iterator[Row]:
    """Phase 2 at one grid point: the rows of all variants, those that failed last."""
    from experiments.bench.tinygrad.runtime import tensor
    from experiments.models.data.mnist import mnist
    from experiments.studies.tradeoffs.calls import ready

    point: Record = {"network": spec.network, "batch": batch, "seed": seed}
    recipes = spec.grid.recipes(seed)
    base, images = spec.grid.choices[0], np.ascontiguousarray(mnist().test.images[:batch])
    inputs = tensor(images, bench.device)
    calls: dict[Choice, Ready] = {}
    verdicts: dict[Choice, str] = {}
    messages = {one: failed[recipe] for one, recipe in recipes.items() if recipe in failed}
    for one, recipe in recipes.items():
        if one in messages:
            continue
        bench.progress(done, f"batch {batch}, seed {seed}: compiling {one.name}")
        try:
            calls[one] = ready(made[recipe], one.execution, inputs, images, bench.device, spec.search_s)
        except Exception as error:  # noqa: BLE001 - as above: its row says `failed`, or `timeout` of a search
            messages[one] = one_line(error)
            verdicts[one] = "timeout" if isinstance(error, TimeoutError) else "failed"
    if base not in calls:
        raise RuntimeError(f"the baseline {base.name} failed: {messages[base]}")
    bench.progress(done, f"batch {batch}, seed {seed}: timing {len(calls)} variants side by side")
    compared = bench.compare({one.name: ready.call for one, ready in calls.items()}, base.name)
    rows, effects = rows_of(compared, calls, {one: made[recipes[one]] for one in calls}, base, point)
    bench.detail("effects", effects)
    yield from rows
    for one, message in messages.items():
        bench.detail("failures", [{"variant": one.name, "batch": batch, "seed": seed, "message": message}])
        values = {**point, **factors_of(one), "recipe": recipes[one].hash, "verdict": verdicts.get(one, "failed")}
        yield Row({"variant": one.name, **values})


def answer(frame: "pd.DataFrame") -> str:
    """What the smallest and the fastest variant within 1 point of the baseline give and take, at the last point."""
    from experiments.studies.tradeoffs.picks import NOTHING, last_point, pick

    rows = last_point(frame)
    if rows.empty:
        return ""
    smallest, fastest = (pick(question, rows, NOTHING) for question in ("smallest", "fastest"))
    if smallest is None or fastest is None:
        return ""
    low, high = (
        dict(zip(rows["variant"], rows[f"speedup_{end}"].astype("float64"), strict=True)) for end in ("lo", "hi")
    )
    said = f"the smallest within 1 point of the baseline is {smallest.sentence}"
    if smallest.winner == fastest.winner:
        said += "; none is faster"
    elif low[fastest.winner] <= high[smallest.winner]:
        said += "; none is clearly faster"
    else:
        said += f"; the fastest {fastest.sentence}"
    where = f"On {rows['device'].iloc[0]}, {rows['network'].iloc[0]} at batch {rows['batch'].iloc[0]}"
    front = f"{int(rows['front'].sum())} of {len(rows)} variants are the front"
    return f"{where}: {said}; {front}."


def eight_times(frame: "pd.DataFrame") -> Achievement | None:
    """The smallest file that meets the challenge: the CNN, at least 8x smaller, at most 1 point below dense float32."""
    cnn = rows_where(frame, frame["network"] == "cnn")
    plain = rows_where(cnn, cnn["pruning"] == "none", cnn["quantization"] == "none")
    base = plain["accuracy"].max()
    rows = rows_where(cnn, cnn["compression"] >= 8, cnn["accuracy"] >= base - 0.01, cnn["verdict"] != "wrong")
    if rows.empty:
        return None
    best = rows.sort_values("size_bytes").iloc[0]
    alone = {
        best["pruning"]: rows_where(cnn, cnn["pruning"] == best["pruning"], cnn["quantization"] == "none"),
        best["quantization"]: rows_where(cnn, cnn["quantization"] == best["quantization"], cnn["pruning"] == "none"),
    }
    said = [f"{name} alone {rows['compression'].max():.3g}x" for name, rows in alone.items() if len(rows)]
    return Achievement(
        f"{best['variant']} holds the CNN in {best['size_bytes']:,} bytes, {best['compression']:.3g}x smaller, and "
        f"classifies {best['accuracy']:.2%} of the test set rightly (dense float32 {base:.2%}).",
        f"{', '.join(said) or 'Neither was measured alone'}, together {best['compression']:.3g}x: where the weights "
        "are that are left, the scales and the biases are stored in either case.",
    )
