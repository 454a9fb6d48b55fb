"""The grid of a trade-off study: combinations of levels, their names and recipes, and an estimate of the minutes."""

import inspect
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.models.recipe import Recipe
from experiments.models.sequential.network import NETWORKS
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training.settings import CALL_S, COMPILE_S, STEP_S, TEST_S, TRAINING_STEPS

EXECUTION = re.compile(r"eager|jit|jit\+beam=([1-9]|1\d|2[0-4])")
PRUNING = re.compile(r"none|structured 0?\.\d+|unstructured 0?\.\d+|structured 0?\.\d+ unstructured 0?\.\d+")
QUANTIZATION = re.compile(r"none|(weight-only|static) ([2-8])")
FACTORS = ("execution", "pruning", "quantization", "distilled", "hidden")

MIN_BLOCK_S = 0.1  # of one variant, for 12 blocks


def execution_of(text: str) -> str:
    """The text unchanged; raises ValueError with the allowed values."""
    return _matched(EXECUTION, text, "eager, jit or jit+beam=N with N from 1 to 24")


def pruning_of(text: str) -> str:
    """The text unchanged; raises ValueError with the allowed values."""
    allowed = "none, unstructured S (share of weights to prune), structured W (share of units to keep)"
    return _matched(PRUNING, text, f"{allowed}, or structured W unstructured S; S and W from 0 to 1")


def quantization_of(text: str) -> str:
    """The text unchanged; raises ValueError with the allowed values."""
    return _matched(QUANTIZATION, text, "none, weight-only B or static B with B from 2 to 8")


def _matched(pattern: re.Pattern[str], text: str, allowed: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not allowed; give {allowed}")
    return text


@dataclass(frozen=True)
class Combination:
    """One level of each factor: a recipe without its seed, and its execution; `hidden` 0: the network's own widths."""

    execution: str = "eager"
    pruning: str = "none"
    quantization: str = "none"
    distilled: str = "no"
    hidden: int = 0

    @property
    def name(self) -> str:
        """`jit int8 static 90% pruned`."""
        scheme, _, bits = self.quantization.partition(" ")
        numbers = "float32" if scheme == "none" else f"int{bits} {scheme.replace('-', ' ')}"
        words = [self.execution, numbers, pruning_label(self.pruning)]
        words += ["distilled"] if self.distilled == "yes" else []
        return " ".join([*words, *([f"{self.hidden} hidden"] if self.hidden else [])])

    def recipe(self, network: str, seed: int, tune_steps: int) -> Recipe:
        """The recipe of the model; raises ValueError with a one-line message if it is not possible."""
        scheme, _, bits = self.quantization.partition(" ")
        quant = QuantSpec("float32")
        if scheme == "static":
            quant = QuantSpec("static", int(bits))
        elif scheme == "weight-only":
            quant = QuantSpec("weight_only", int(bits))
        width, sparsity = pruning_shares(self.pruning)
        sizes = scaled_sizes(network, self.hidden)
        try:
            Recipe(network, sizes, width=width, sparsity=sparsity)
        except ValueError as error:
            raise ValueError(f"pruning: {self.pruning} is not allowed for {network}; {error}") from None
        return Recipe(network, sizes, seed, quant, self.distilled == "yes", width, sparsity, tune_steps)


def pruning_shares(pruning: str) -> tuple[float, float]:
    """The share of units to keep and the share of weights to prune."""
    words = pruning.split()
    levels = dict(zip(words[::2], words[1::2], strict=False))
    return float(levels.get("structured", 1)), float(levels.get("unstructured", 0))


def pruning_label(pruning: str) -> str:
    """`dense`, `90% pruned`, `width 50%`, `width 50% 70% pruned`."""
    width, sparsity = pruning_shares(pruning)
    words = [f"width {100 * width:.4g}%"] if width < 1 else []
    return " ".join([*words, *([f"{100 * sparsity:.4g}% pruned"] if sparsity else [])]) or "dense"


def scaled_sizes(network: str, hidden: int) -> tuple[tuple[str, int], ...]:
    """The sizes of a network whose first hidden layer has `hidden` units, the others in proportion."""
    if not hidden:
        return ()
    sizes = {
        name: parameter.default
        for name, parameter in inspect.signature(NETWORKS[network]).parameters.items()
        if name in ("first", "second", "hidden")
    }
    first = next(iter(sizes.values()))
    if hidden == first:
        return ()
    return tuple((name, max(1, round(size * hidden / first))) for name, size in sizes.items())


@dataclass(frozen=True)
class TradeoffGrid:
    """All models and variants of a study; the first combination is the baseline."""

    network: str
    batches: tuple[int, ...]
    seeds: tuple[int, ...]
    combinations: tuple[Combination, ...]
    tune_steps: int
    budget_s: float
    search_s: float

    @property
    def variants(self) -> int:
        """Rows of the study."""
        return len(self.combinations) * len(self.batches) * len(self.seeds)

    def recipes(self, seed: int) -> dict[Combination, Recipe]:
        """The recipe of each combination; raises ValueError with a one-line message if one is not possible."""
        return {one: one.recipe(self.network, seed, self.tune_steps) for one in self.combinations}

    def models(self) -> list[Recipe]:
        """The distinct recipes of the study in build order."""
        return list(dict.fromkeys(one for seed in self.seeds for one in self.recipes(seed).values()))

    def minutes(self, models: Sequence[Recipe]) -> float:
        """The estimated time to build `models` and measure all variants, on 2 CPU cores."""
        step, seconds = STEP_S[self.network], len(models) * TEST_S[self.network]
        trained = {(one.sizes, one.seed, one.distilled) for one in models}
        bundled = {((), 0, False)}
        seconds += len(trained - bundled) * TRAINING_STEPS[self.network] * step
        pruned = {one.unquantized for one in models if one.is_pruned}
        seconds += sum(self.tune_steps * step * ((one.width < 1) + (one.sparsity > 0)) for one in pruned)
        compiled = {one.sizes for one in models if one.is_pruned or (one.sizes, one.seed, one.distilled) not in bundled}
        narrowed = {(one.sizes, one.width) for one in models if one.width < 1 and one.sparsity}
        seconds += (len(compiled) + len(narrowed)) * COMPILE_S
        searched = sum("beam" in one.execution for one in self.combinations)
        point = (
            max(self.budget_s, MIN_BLOCK_S * len(self.combinations))
            + len(self.combinations) * CALL_S
            + searched * self.search_s
        )
        return (seconds + point * len(self.batches) * len(self.seeds)) / 60

    def plan(self) -> str:
        """`8 variants of 4 models, 2 of them cached; about 1.2 minutes`."""
        from experiments.models.builder import cache_path

        models = self.models()
        missing = [one for one in models if not cache_path(one).exists()]
        cached = f", {len(models) - len(missing)} of them cached" if len(missing) < len(models) else ""
        minutes = self.minutes(missing)
        about = f"{minutes:.1f}" if minutes < 10 else f"{minutes:.0f}"
        return f"{self.variants} variants of {len(models)} models{cached}; about {about} minutes on 2 CPU cores"


def combinations(factors: Sequence[Sequence[str | int]]) -> tuple[Combination, ...]:
    """Every combination of the levels of execution, pruning, quantization, distilled and hidden.

    The first is the baseline, eager float32 dense with the first hidden width, even if the levels do not include it.
    """
    found = [Combination(*levels) for levels in itertools.product(*factors)]  # type: ignore[arg-type]
    return tuple(dict.fromkeys([Combination(hidden=found[0].hidden), *found]))
