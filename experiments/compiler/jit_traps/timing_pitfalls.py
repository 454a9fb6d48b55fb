"""The pitfalls that give a wrong time, and their fixes, on products of n x n matrices.

Times are the minimum of a few rounds: they show orders of magnitude and do not compare precisely. Where kernels can be
counted, their number decides whether the pitfall occurs, not the clock.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from tinygrad import Tensor, TinyJit

from experiments.bench.session import max_abs_error, tolerance
from experiments.bench.tinygrad.capture import capture, replayed
from experiments.bench.tinygrad.runtime import Counted, normal, synchronizer
from experiments.compiler.jit_traps.pitfalls import PitfallOutcome

ROUNDS = 5
PRODUCTS = 8  # per call: enough work that a GPU is still busy when the call returns
WRONG_BY = 2  # a time that is too small by this factor is wrong beyond any noise


def unrealised_inputs(device: str, size: int) -> PitfallOutcome:
    """Replays of a product with unrealized random inputs: the kernels that generate them are timed too."""
    weight, synchronize = _matrix(device, size), synchronizer(device)
    jit = TinyJit(lambda x: (x @ weight).realize())

    def measure(generate: Callable[[], Any]) -> tuple[float, int, bool]:
        replayed(lambda: jit(generate()))
        times, kernels, correct = [], 0, True
        for _ in range(ROUNDS):
            x = generate()
            synchronize()
            with Counted() as counted:
                start = time.perf_counter()
                out = jit(x)
                synchronize()
                times.append(time.perf_counter() - start)
            kernels = counted.work.kernels
            correct = correct and _agrees(out, x.numpy() @ weight.numpy())
        return min(times), kernels, correct

    claimed, count, _ = measure(lambda: Tensor.rand(size, size, device=device))
    true, fixed_count, correct = measure(lambda: Tensor.rand(size, size, device=device).realize())
    return PitfallOutcome(
        expected="1 timed kernel: the product",
        observed=f"{_kernels(count)}, {_ms(claimed)} ms",
        fixed=f"{_kernels(fixed_count)}, {_ms(true)} ms",
        safe=count == 1,
        fix_works=fixed_count == 1 and correct,
        claimed_ms=claimed * 1e3,
        true_ms=true * 1e3,
    )


def empty_loop(device: str, size: int) -> PitfallOutcome:
    """Realizing a realized tensor again runs nothing: the loop times itself."""
    x, weight, synchronize = _matrix(device, size), _matrix(device, size), synchronizer(device)
    product = (x @ weight).realize()

    def measure(body: Callable[[], Any]) -> tuple[float, int]:
        times = []
        with Counted() as counted:
            for _ in range(ROUNDS):
                synchronize()
                start = time.perf_counter()
                body()
                synchronize()
                times.append(time.perf_counter() - start)
        return min(times), counted.work.kernels

    claimed, count = measure(product.realize)
    true, fixed_count = measure(lambda: (x @ weight).realize())
    return PitfallOutcome(
        expected=f"{_kernels(ROUNDS)} in {ROUNDS} rounds",
        observed=f"{_kernels(count)}, {_ms(claimed)} ms a round",
        fixed=f"{_kernels(fixed_count)}, {_ms(true)} ms a round",
        safe=count == ROUNDS,
        fix_works=fixed_count == ROUNDS and _agrees(product, x.numpy() @ weight.numpy()),
        claimed_ms=claimed * 1e3,
        true_ms=true * 1e3,
    )


def unsynchronised(device: str, size: int) -> PitfallOutcome:
    """A replay of eight products: the time until the call returns and the time until its result is ready."""
    x, weight, synchronize = _matrix(device, size), _matrix(device, size), synchronizer(device)
    jit, out = capture(_chain, x, weight)
    reference = x.numpy().astype(np.float64)
    for _ in range(PRODUCTS):
        reference = reference @ weight.numpy()
    returned, finished, synchronized = [], [], []
    for _ in range(ROUNDS):
        synchronize()
        start = time.perf_counter()
        out = jit(x, weight)
        returned.append(time.perf_counter() - start)
        synchronize()
        finished.append(time.perf_counter() - start)
        start = time.perf_counter()
        out = jit(x, weight)
        synchronize()
        synchronized.append(time.perf_counter() - start)
    claimed, true, fixed = min(returned), min(finished), min(synchronized)
    return PitfallOutcome(
        expected=f"{_ms(true)} ms until {PRODUCTS} products are ready",
        observed=f"{_ms(claimed)} ms, without synchronizing",
        fixed=f"{_ms(fixed)} ms",
        safe=claimed * WRONG_BY > true,
        fix_works=fixed * WRONG_BY > true and _agrees(out, reference),
        claimed_ms=claimed * 1e3,
        true_ms=true * 1e3,
    )


CHECKS: dict[str, Callable[[str, int], PitfallOutcome]] = {
    check.__name__: check for check in (unrealised_inputs, empty_loop, unsynchronised)
}


def _chain(x: Any, weight: Any) -> Any:
    for _ in range(PRODUCTS):
        x = x @ weight
    return x.realize()


def _matrix(device: str, size: int) -> Any:
    """Seeded normal values, scaled so that a chain of products stays of order one."""
    return normal(np.random.default_rng(1), size, size, device=device, scale=size**-0.5)


def _agrees(result: Any, reference: "np.ndarray[Any, Any]") -> bool:
    return max_abs_error(result.numpy(), reference) <= tolerance(reference, 1e-4, 1e-4)


def _kernels(count: int) -> str:
    return f"{count} kernel" + ("" if count == 1 else "s")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"
