"""Trade-offs: accuracy, size and latency of all combinations of techniques, and their Pareto front."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from experiments.bench.challenge import Challenge
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.errors import one_line
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import MeasuredSpec, Need, experiment
from experiments.studies.tradeoffs.answer import answer, eight_times
from experiments.studies.tradeoffs.grid import (
    Combination,
    TradeoffGrid,
    combinations,
    execution_of,
    pruning_of,
    quantization_of,
)

if TYPE_CHECKING:
    from experiments.models.builder import BuiltModel
    from experiments.models.recipe import Recipe
    from experiments.studies.tradeoffs.checked_calls import CheckedCall

MAX_VARIANTS = 600
OVER_BUDGET = "the budget of minutes was spent before this model was started"


class TradeoffsSpec(MeasuredSpec):
    """A grid of techniques: every combination of the levels is built, tested and timed."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5"] = Field(
        "mlp", title="Network", description="trained on MNIST; the bundled checkpoint where the recipe allows it"
    )
    hidden: list[Annotated[int, Field(ge=1, le=2048)]] = Field(
        [], max_length=6, title="Hidden widths", description="units of the first hidden layer; empty: the network's own"
    )
    batch: list[Annotated[int, Field(ge=1, le=1024)]] = Field(
        [1], min_length=1, max_length=6, title="Batch sizes", description="images of one call; one front for each"
    )
    execution: list[Annotated[str, AfterValidator(execution_of)]] = Field(
        ["eager", "jit"], min_length=1, max_length=8, title="Execution", description="eager, jit, jit+beam=N"
    )
    pruning: list[Annotated[str, AfterValidator(pruning_of)]] = Field(
        ["none", "unstructured 0.9"],
        min_length=1,
        max_length=20,
        title="Pruning",
        description="none; unstructured 0.9 prunes this share of the weights; structured 0.5 keeps this share of the "
        "units; both: structured 0.5 unstructured 0.7",
    )
    quantization: list[Annotated[str, AfterValidator(quantization_of)]] = Field(
        ["none", "static 8"],
        min_length=1,
        max_length=15,
        title="Quantization",
        description="none, weight-only 8 (stored as integers), static 8 (computed as integers); 2 to 8 bits",
    )
    distilled: list[Literal["no", "yes"]] = Field(
        ["no"],
        min_length=1,
        max_length=2,
        title="Distilled",
        description="yes: trained on a larger network's outputs as well",
    )
    tune_steps: int = Field(
        2500,
        ge=0,
        le=100_000,
        title="Fine-tuning steps",
        description="training steps during which a network is pruned and fine-tuned",
    )
    search_s: float = Field(60, ge=1, le=3600, title="Search budget [s]", description="time limit of one BEAM search")
    seeds: list[Annotated[int, Field(ge=0, le=10_000)]] = Field(
        [0],
        min_length=1,
        max_length=6,
        title="Seeds",
        description="random seeds of the trainings; each has a separate front",
    )
    minutes: float = Field(
        15,
        ge=0.1,
        le=24 * 60,
        title="Budget [min]",
        description="a grid that is estimated to take longer is rejected; models not started by then are skipped",
    )

    @property
    def grid(self) -> TradeoffGrid:
        """All models and variants of this study."""
        levels: list[Sequence[str | int]] = [
            self.execution,
            self.pruning,
            self.quantization,
            self.distilled,
            self.hidden or [0],
        ]
        return TradeoffGrid(
            self.network,
            tuple(dict.fromkeys(self.batch)),
            tuple(dict.fromkeys(self.seeds)),
            combinations(levels),
            self.tune_steps,
            self.budget_s,
            self.search_s,
        )

    @model_validator(mode="after")
    def _small_enough(self) -> "TradeoffsSpec":
        grid = self.grid
        if grid.variants > MAX_VARIANTS:
            point = replace(grid, seeds=grid.seeds[:1], batches=grid.batches[:1])
            minutes = point.minutes(point.models()) * grid.variants / point.variants  # about: models are shared
            raise ValueError(
                f"{grid.variants:,} variants would take about {minutes:,.0f} minutes; ask for a smaller grid, "
                f"at most {MAX_VARIANTS} variants"
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
        return Need(
            8 * largest * len(self.grid.combinations), f"a grid point of {len(self.grid.combinations)} variants"
        )


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
        Column("network", "text", "the network before pruning"),
        Column("batch", "integer", "images of one call"),
        Column("seed", "integer", "random seed of the training"),
        Column("execution", "text", "eager, captured by the JIT, or captured after a BEAM search of this width"),
        Column("pruning", "text", "none, or the shares pruned or kept"),
        Column(
            "quantization", "text", "scheme and bits; weight-only: stored as integers, static: computed as integers"
        ),
        Column("distilled", "text", "whether it was trained on a larger network's outputs as well"),
        Column("hidden", "integer", "units of the first hidden layer; 0: the network's own"),
        Column("recipe", "text", "the hash of the model's recipe, which is the name of its file"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("accuracy_loss", "number", "accuracy lost against the baseline; negative: gained"),
        Column("accuracy_loss_lo", "number", "lower end of the 95% interval of accuracy_loss, paired by test image"),
        Column("accuracy_loss_hi", "number", "upper end of the 95% interval of accuracy_loss"),
        Column("validation_accuracy", "number", "top-1 on the validation images, which decide the recommendation"),
        *("parameters", "nonzero", "size_bytes", "compression"),
        *TIMED,
        *COMPILED,
        *("throughput_per_s", "max_abs_error"),
        Column("p_front", "number", "share of resamples in which no other variant dominates this one"),
        Column(
            "front",
            "boolean",
            "whether it is on the front: no single other variant dominates it in at least 95% of resamples",
        ),
        Column("dominated_by", "text", "the variant that dominates it"),
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
            Column("size_bytes", "integer", "size of the file"),
            Column("accuracy", "number", "top-1 accuracy of the restored file on the test images"),
            Column("validation_accuracy", "number", "top-1 accuracy on the validation images"),
            Column("kept", "boolean", "whether it was taken from the cache"),
            Column("seconds", "number", "time that building the model took when it was built", "s"),
        ],
        "effects": [
            Column("batch", "integer", "images of one call"),
            Column("seed", "integer", "random seed of the training"),
            Column("factor", "text", "the factor that changes"),
            Column("level", "text", "level of the factor, compared with its first level in the grid"),
            Column("with_factor", "text", "the other factor of an interaction"),
            Column("with_level", "text", "level of the other factor"),
            Column("response", "text", "accuracy (difference, 0..1), latency or bytes (ratios)"),
            Column("effect", "number", "mean over all settings of the other factors"),
            Column("effect_lo", "number", "lower end of the 95% interval of effect"),
            Column("effect_hi", "number", "upper end of the 95% interval of effect"),
            Column("settings", "integer", "number of differences averaged"),
        ],
        "failures": [
            Column("variant", "text", "the variant that failed"),
            Column("batch", "integer", "images of one call; empty if the model could not be built"),
            Column("seed", "integer", "random seed of the training"),
            Column("message", "text", "the error in one line"),
        ],
    },
    plan=lambda spec: spec.grid.plan(),
    answer=answer,
    challenge=Challenge(
        goal="Keep the CNN within 1 percentage point of its dense float32 accuracy in a file at least 8x smaller, "
        "which fewer bits alone do not reach.",
        question="How much does each technique save alone, and why is the total not their product?",
        start="course",
        met=eight_times,
    ),
)
def tradeoffs(spec: TradeoffsSpec, bench: Bench) -> Iterator[Row]:
    """Builds every combination of techniques, times all of them side by side, and computes the Pareto front.

    First each model is built once: trained (or distilled), pruned while it is fine-tuned, quantized, packed into one
    file, restored from it and tested on the whole MNIST test set of 10,000; a model in this machine's cache is reused.
    Then all variants of a batch size are timed in the same blocks with the baseline, eager float32 dense, on images
    that are on the device. `size_bytes` is the file; `compression` compares it with the float32 bytes of the dense
    baseline; accuracy losses are paired image by image. For the front, images and blocks are resampled together:
    `p_front` is the share of resamples in which no other variant is as good in accuracy, latency and bytes and better
    in one; a variant is off the front only if a single other one dominates it in at least 95% of them. Validation
    images decide what is within 1 percentage point; reported accuracies are those of the test images. The output of
    every variant is compared with the fake-quantized model in numpy.

    Not measured: equal training for all (a pruned network is trained `tune_steps` longer than a dense one); copying
    images to the device; speed from zeros, which tinygrad's dense kernels multiply like any other number.
    Source: Deb 2001, Multi-Objective Optimization (dominance); Efron & Tibshirani 1993 (the paired bootstrap).
    """
    models, failed = _build(spec, bench)
    points = [(seed, batch) for seed in spec.grid.seeds for batch in spec.grid.batches]
    for number, (seed, batch) in enumerate(points):
        yield from _measure(spec, bench, models, failed, batch, seed, 0.5 + number / (2 * len(points)))


def _build(spec: TradeoffsSpec, bench: Bench) -> tuple[dict["Recipe", "BuiltModel"], dict["Recipe", str]]:
    """Phase 1: every model once, and the error message of each that could not be built."""
    import numpy as np

    from experiments.models import tensor_file
    from experiments.models.builder import build_model

    models: dict[Recipe, BuiltModel] = {}
    failed: dict[Recipe, str] = {}
    recipes, started = spec.grid.models(), time.monotonic()
    for number, recipe in enumerate(recipes):
        done = number / (2 * len(recipes))

        def progress(fraction: float, message: str, done: float = done) -> None:
            bench.progress(done + fraction / (2 * len(recipes)), message)

        progress(0, f"model {number + 1} of {len(recipes)}")
        if time.monotonic() - started > spec.minutes * 60:
            failed[recipe] = OVER_BUDGET
            continue
        try:
            model = build_model(recipe, bench.device, progress)
        except Exception as error:  # noqa: BLE001 - any error of one model becomes its row; the study continues
            failed[recipe] = one_line(error)
            continue
        models[recipe] = model
        bench.artifact(f"{recipe.hash}.tinylab", model.file)
        bench.detail("models", [_model_record(model)])
    correct = {recipe.hash: np.packbits(model.correct) for recipe, model in models.items()}
    images = max((len(model.correct) for model in models.values()), default=0)
    bench.artifact("answers.safetensors", tensor_file.encode(correct, {"images": str(images)}))
    return models, failed


def _model_record(model: "BuiltModel") -> dict[str, Value]:
    return {
        "recipe": model.recipe.hash,
        "text": model.recipe.json(),
        "size_bytes": len(model.file),
        "accuracy": float(model.correct.mean()),
        "validation_accuracy": model.validation_accuracy,
        "kept": model.from_cache,
        "seconds": model.seconds,
    }


def _measure(
    spec: TradeoffsSpec,
    bench: Bench,
    models: dict["Recipe", "BuiltModel"],
    failed: dict["Recipe", str],
    batch: int,
    seed: int,
    done: float,
) -> Iterator[Row]:
    """Phase 2 at one grid point: the rows of all variants, failed ones last."""
    import numpy as np

    from experiments.bench.tinygrad.runtime import tensor
    from experiments.models.data.mnist import mnist
    from experiments.studies.tradeoffs.analysis import factor_columns, rows_and_effects
    from experiments.studies.tradeoffs.checked_calls import checked_call

    point: dict[str, Value] = {"network": spec.network, "batch": batch, "seed": seed}
    recipes = spec.grid.recipes(seed)
    base, images = spec.grid.combinations[0], np.ascontiguousarray(mnist().test.images[:batch])
    inputs = tensor(images, bench.device)
    calls: dict[Combination, CheckedCall] = {}
    verdicts: dict[Combination, str] = {}
    messages = {variant: failed[recipe] for variant, recipe in recipes.items() if recipe in failed}
    for variant, recipe in recipes.items():
        if variant in messages:
            continue
        bench.progress(done, f"batch {batch}, seed {seed}: compiling {variant.name}")
        try:
            calls[variant] = checked_call(
                models[recipe], variant.execution, inputs, images, bench.device, spec.search_s
            )
        except Exception as error:  # noqa: BLE001 - as above; the row's verdict is `failed`, or `timeout` of a search
            messages[variant] = one_line(error)
            verdicts[variant] = "timeout" if isinstance(error, TimeoutError) else "failed"
    if base not in calls:
        raise RuntimeError(f"the baseline {base.name} failed: {messages[base]}")
    bench.progress(done, f"batch {batch}, seed {seed}: timing {len(calls)} variants side by side")
    compared = bench.compare({variant.name: one.call for variant, one in calls.items()}, base.name)
    measured = {variant: models[recipes[variant]] for variant in calls}
    rows, effects = rows_and_effects(compared, calls, measured, base, point)
    bench.detail("effects", effects)
    yield from rows
    for variant, message in messages.items():
        bench.detail("failures", [{"variant": variant.name, "batch": batch, "seed": seed, "message": message}])
        verdict = {"verdict": verdicts.get(variant, "failed")}
        yield Row(
            {"variant": variant.name, **point, **factor_columns(variant), "recipe": recipes[variant].hash, **verdict}
        )
