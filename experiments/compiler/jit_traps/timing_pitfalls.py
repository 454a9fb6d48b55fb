"""The traps that give a wrong time, and their mends, on products of n x n matrices.

Times are the least of a few rounds: they stand for orders of magnitude, not for a comparison. Where kernels
can be counted it is their number that decides whether a trap shows, not the clock.
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
PRODUCTS = 8  # in one call without a wait: enough work that a GPU is still busy when the call returns
FAR = 2  # a clock that shows less than this fraction of the true time is wrong beyond any noise


def unrealised_inputs(device: str, size: int) -> PitfallOutcome:
    """Replays of a product whose inputs were drawn but not realised: their kernels run inside the clock."""
    weight, synchronize = _matrix(device, size), synchronizer(device)
    jit = TinyJit(lambda x: (x @ weight).realize())

    def clock(draw: Callable[[], Any]) -> tuple[float, int, bool]:
        replayed(lambda: jit(draw()))
        times, kernels, right = [], 0, True
        for _ in range(ROUNDS):
            x = draw()
            synchronize()
            with Counted() as counted:
                start = time.perf_counter()
                out = jit(x)
                synchronize()
                times.append(time.perf_counter() - start)
            kernels = counted.work.kernels
            right = right and _agrees(out, x.numpy() @ weight.numpy())
        return min(times), kernels, right

    claimed, counted, _ = clock(lambda: Tensor.rand(size, size, device=device))
    true, mended, right = clock(lambda: Tensor.rand(size, size, device=device).realize())
    return PitfallOutcome(
        expected="1 kernel in the clock: the product",
        observed=f"{_kernels(counted)}, {_ms(claimed)} ms",
        mended=f"{_kernels(mended)}, {_ms(true)} ms",
        safe=counted == 1,
        right=mended == 1 and right,
        claimed_ms=claimed * 1e3,
        true_ms=true * 1e3,
    )


def empty_loop(device: str, size: int) -> PitfallOutcome:
    """A realised tensor realised again runs nothing: the loop measures itself."""
    x, weight, synchronize = _matrix(device, size), _matrix(device, size), synchronizer(device)
    product = (x @ weight).realize()

    def clock(body: Callable[[], Any]) -> tuple[float, int]:
        times = []
        with Counted() as counted:
            for _ in range(ROUNDS):
                synchronize()
                start = time.perf_counter()
                body()
                synchronize()
                times.append(time.perf_counter() - start)
        return min(times), counted.work.kernels

    claimed, ran = clock(product.realize)
    true, mended = clock(lambda: (x @ weight).realize())
    return PitfallOutcome(
        expected=f"{_kernels(ROUNDS)} in {ROUNDS} rounds",
        observed=f"{_kernels(ran)}, {_ms(claimed)} ms a round",
        mended=f"{_kernels(mended)}, {_ms(true)} ms a round",
        safe=ran == ROUNDS,
        right=mended == ROUNDS and _agrees(product, x.numpy() @ weight.numpy()),
        claimed_ms=claimed * 1e3,
        true_ms=true * 1e3,
    )


def unsynchronised(device: str, size: int) -> PitfallOutcome:
    """A replay of eight products: when the call returns against when its result is there."""
    x, weight, synchronize = _matrix(device, size), _matrix(device, size), synchronizer(device)
    jit, out = capture(_chain, x, weight)
    reference = x.numpy().astype(np.float64)
    for _ in range(PRODUCTS):
        reference = reference @ weight.numpy()
    returned, finished, waited = [], [], []
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
        waited.append(time.perf_counter() - start)
    claimed, true, mended = min(returned), min(finished), min(waited)
    return PitfallOutcome(
        expected=f"{_ms(true)} ms until {PRODUCTS} products are there",
        observed=f"{_ms(claimed)} ms, without waiting",
        mended=f"{_ms(mended)} ms",
        safe=claimed * FAR > true,
        right=mended * FAR > true and _agrees(out, reference),
        claimed_ms=claimed * 1e3,
        true_ms=true * 1e3,
    )


CHECKS: dict[str, Callable[[str, int], PitfallOutcome]] = {
    one.__name__: one for one in (unrealised_inputs, empty_loop, unsynchronised)
}


def _chain(x: Any, weight: Any) -> Any:
    for _ in range(PRODUCTS):
        x = x @ weight
    return x.realize()


def _matrix(device: str, size: int) -> Any:
    """Seeded normal values, scaled so that a product of many stays of the order of one."""
    return normal(np.random.default_rng(1), size, size, device=device, scale=size**-0.5)


def _agrees(seen: Any, reference: "np.ndarray[Any, Any]") -> bool:
    return max_abs_error(seen.numpy(), reference) <= tolerance(reference, 1e-4, 1e-4)


def _kernels(count: int) -> str:
    return f"{count} kernel" + ("" if count == 1 else "s")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"
