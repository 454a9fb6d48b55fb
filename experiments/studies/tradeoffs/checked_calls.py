"""Variants as calls to time, checked against numpy: eager, captured by the JIT, or captured after a BEAM search."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.kernel_search import Optimization, search
from experiments.bench.session import max_abs_error, tolerance
from experiments.models.compiled import ATOL, RTOL

if TYPE_CHECKING:
    from experiments.bench.tinygrad.capture import CallWork
    from experiments.models.builder import BuiltModel


@dataclass(frozen=True)
class CheckedCall:
    """A call that has run once: its work, its largest error, and whether that exceeds the tolerance."""

    call: Callable[[], object]
    work: "CallWork"
    error: float
    wrong: bool


def checked_call(
    model: "BuiltModel", execution: str, inputs: Any, images: Array, device: str, search_s: float
) -> CheckedCall:
    """The model's call on `inputs`, a tensor of `images`; its output is compared with the fake-quantized numpy model.

    A BEAM search runs in a separate process; TimeoutError after `search_s` seconds. Its result is applied here.
    Raises any tinygrad error if the model cannot run.
    """
    from experiments.bench.tinygrad.capture import captured_work
    from experiments.bench.tinygrad.runtime import Counted
    from experiments.models.techniques.quantization.numpy_backend import fake_quantized_forward_numpy
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward

    function = build_forward(model.restored, device)
    reference = fake_quantized_forward_numpy(model.restored, images, len(images))
    if execution == "eager":
        function(inputs)
        with Counted() as counted:
            output = function(inputs)
        call, work = partial(function, inputs), counted.work
    else:
        jit = _captured(model, execution, function, inputs, device, search_s)
        output = jit(inputs)  # a replay
        call, work = partial(jit, inputs), captured_work(jit)
    error = max_abs_error(output.numpy(), reference)
    return CheckedCall(call, work, error, error > tolerance(reference, ATOL, RTOL))


def _captured(model: "BuiltModel", execution: str, function: Any, inputs: Any, device: str, search_s: float) -> Any:
    """The TinyJit of `function`, captured on `inputs`."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.kernel_search import applied

    jit, chosen, variant = TinyJit(function), {}, Optimization()
    if width := execution.partition("=")[2]:
        variant = Optimization(int(width))
        recipe = model.recipe.json()
        found = search(device, f"{__name__}:search_target", variant, search_s, recipe=recipe, batch=len(inputs))
        if found.ended == "timeout":
            raise TimeoutError(f"the search did not finish within {search_s:g} s")
        if found.ended == "failed":
            raise RuntimeError(found.cause)
        chosen = found.chosen
    with applied(variant, chosen):
        for _ in range(2):
            jit(inputs)
    return jit


def search_target(device: str, recipe: str, batch: int) -> Callable[[], object]:
    """In the search process: the cached model of a recipe as a call on `batch` images."""
    from experiments.bench.tinygrad.runtime import tensor
    from experiments.models.builder import build_model
    from experiments.models.data.mnist import mnist
    from experiments.models.recipe import from_json
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward

    inputs = tensor(np.ascontiguousarray(mnist().test.images[:batch]), device)
    return partial(build_forward(build_model(from_json(recipe), device).restored, device), inputs)
