"""From rows in numpy to logits in numpy, compiled for one batch size each; only the inference process imports this."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.session import max_abs_error, tolerance

CHECKS = 3  # inputs on which the fast path must agree with the plain one before it serves
ATOL, RTOL = 1e-6, 1e-6  # the same kernels on the same inputs: nothing but the order of threads could differ


class TinygradRunner:
    """A forward pass for `batch` rows at a time. Write rows into `input`, call `run`, read what it returns.

    The plain path makes a tensor of the rows, replays the capture and reads the result back, as any user of tinygrad
    does. The fast path writes into the captured input buffer and launches the captured kernels itself. It is taken
    where `fast` asks for it and it gave the plain path's answers on random rows; else `why` says why not.
    """

    def __init__(self, forward: Callable[[Any], Any], batch: int, pixels: int, device: str, fast: bool = True) -> None:
        from experiments.bench.tinygrad.capture import capture
        from experiments.bench.tinygrad.runtime import tensor

        self.batch = batch
        self._device = device
        self._held = tensor(np.zeros((batch, pixels), np.float32), device)
        self._jit, result = capture(forward, self._held)
        self.input: Array = np.zeros((batch, pixels), np.float32)
        self.run: Callable[[], Array] = self._plain
        self.path = "plain"
        self.why = "" if fast else "asked for"
        if fast:
            self._try_fast(result)

    def _plain(self) -> Array:
        """The logits of `input`, shaped (batch, classes)."""
        from experiments.bench.tinygrad.runtime import tensor

        return np.asarray(self._jit(tensor(self.input, self._device)).numpy())

    def _try_fast(self, result: Any) -> None:
        """Takes the fast path if it can be built and agrees with the plain one; any doubt keeps the plain one."""
        try:
            from experiments.bench.tinygrad.direct_replay import CannotReplay, DirectReplay
        except ImportError as error:
            self.why = f"tinygrad has changed: {error}"
            return
        try:
            replay = DirectReplay(self._jit, self._held, result)
            self.why = self._difference(replay)
        except CannotReplay as reason:
            self.why = str(reason)
        except Exception as error:  # noqa: BLE001 - a private interface that has changed may raise anything
            self.why = f"{type(error).__name__}: {error}"
        if not self.why:
            self.path, self.input = "fast", replay.input

            def run() -> Array:
                replay()
                return replay.output

            self.run = run

    def _difference(self, replay: Any) -> str:
        """What is wrong with a replay's answers on random rows; empty if nothing is."""
        rng = np.random.default_rng(0)
        for _ in range(CHECKS):
            self.input[:] = rng.random(self.input.shape, dtype=np.float32)
            expected = self._plain()
            replay.input[:] = self.input
            replay.output[:] = np.nan
            replay()
            if max_abs_error(replay.output, expected) > tolerance(expected, ATOL, RTOL):
                return "its answers differed from the plain path's"
        return ""


def buckets(most: int) -> list[int]:
    """The batch sizes that are compiled: powers of two, and `most`. buckets(24) == [1, 2, 4, 8, 16, 24]."""
    return [*(size for power in range(most.bit_length()) if (size := 2**power) < most), most]
