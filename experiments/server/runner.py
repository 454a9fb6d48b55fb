"""The forward pass in tinygrad for one batch size: numpy rows in, numpy logits out.

Only the inference process imports this module.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.errors import one_line
from experiments.bench.session import max_abs_error, tolerance

CHECKS = 3  # random inputs on which the fast path must agree with the plain one before it is used
ATOL, RTOL = 1e-6, 1e-6  # both paths run the same kernels on the same inputs


class TinygradRunner:
    """A forward pass of `batch` rows. Write rows into `input`, call `run`, read the logits it returns.

    The plain path creates a tensor of the rows, replays the capture and reads the result back, as any tinygrad
    program does. The fast path writes into the captured input buffer and calls the captured kernels directly. It is
    used if `fast` asks for it and it agrees with the plain path on random rows; otherwise `why` is the reason.
    """

    def __init__(self, forward: Callable[[Any], Any], batch: int, pixels: int, device: str, fast: bool = True) -> None:
        from experiments.bench.tinygrad.capture import capture
        from experiments.bench.tinygrad.runtime import tensor

        self.batch = batch
        self._device = device
        self._captured_input = tensor(np.zeros((batch, pixels), np.float32), device)
        self._jit, result = capture(forward, self._captured_input)
        self.input: Array = np.zeros((batch, pixels), np.float32)
        self.run: Callable[[], Array] = self._plain
        self.path = "plain"
        self.why = "" if fast else "requested"
        if fast:
            self._try_fast(result)

    def _plain(self) -> Array:
        """The logits of `input`, shape (batch, classes)."""
        from experiments.bench.tinygrad.runtime import tensor

        return np.asarray(self._jit(tensor(self.input, self._device)).numpy())

    def _try_fast(self, result: Any) -> None:
        """Switches to the fast path if it can be built and agrees with the plain path; otherwise sets `why`."""
        try:
            from experiments.bench.tinygrad.direct_replay import CannotReplay, DirectReplay
        except ImportError as error:
            self.why = f"tinygrad has changed: {error}"
            return
        try:
            replay = DirectReplay(self._jit, self._captured_input, result)
            self.why = self._difference(replay)
        except CannotReplay as reason:
            self.why = str(reason)
        except Exception as error:  # noqa: BLE001 - a private interface that has changed may raise anything
            self.why = one_line(error)
        if not self.why:
            self.path, self.input = "fast", replay.input

            def run() -> Array:
                replay()
                return replay.output

            self.run = run

    def _difference(self, replay: Any) -> str:
        """Why a replay is wrong on random rows; empty if it is correct."""
        rng = np.random.default_rng(0)
        for _ in range(CHECKS):
            self.input[:] = rng.random(self.input.shape, dtype=np.float32)
            expected = self._plain()
            replay.input[:] = self.input
            replay.output[:] = np.nan
            replay()
            if max_abs_error(replay.output, expected) > tolerance(expected, ATOL, RTOL):
                return "its logits differed from the plain path's"
        return ""


def buckets(max_batch: int) -> list[int]:
    """The batch sizes to compile: powers of two, and `max_batch`. buckets(24) == [1, 2, 4, 8, 16, 24]."""
    sizes = (2**power for power in range(max_batch.bit_length()))
    return [*(size for size in sizes if size < max_batch), max_batch]
