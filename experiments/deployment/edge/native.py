"""An exported program as a shared library: called from Python, and timed inside C."""

import _ctypes
import ctypes
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from experiments.bench.arrays import Array
from experiments.export_c.targets import WARNINGS, compile_c

MAX_LEFT = 8  # libraries that stay loaded after a move, so that their pages are not handed out again at once
TIMING = """
#include <stdint.h>
#include <time.h>
void predict(const float *input, float *output);
void time_calls(const float *rows, int64_t count, int64_t width, float *output, double *seconds, int64_t calls);
void time_reads(const uint64_t *words, int64_t count, uint64_t *sum, double *seconds, int64_t calls);

static double since(const struct timespec *before) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)(now.tv_sec - before->tv_sec) + 1e-9 * (double)(now.tv_nsec - before->tv_nsec);
}

void time_calls(const float *rows, int64_t count, int64_t width, float *output, double *seconds, int64_t calls) {
  struct timespec before;
  for (int64_t call = 0; call < calls; call++) {
    clock_gettime(CLOCK_MONOTONIC, &before);
    predict(rows + call % count * width, output);
    seconds[call] = since(&before);
  }
}

/* A lower bound for any kernel: reads every word once and does nothing else. */
void time_reads(const uint64_t *words, int64_t count, uint64_t *sum, double *seconds, int64_t calls) {
  struct timespec before;
  for (int64_t call = 0; call < calls; call++) {
    uint64_t seen = 0;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int64_t word = 0; word < count; word++) seen += words[word];
    *(volatile uint64_t *)sum = seen;
    seconds[call] = since(&before);
  }
}
"""


class NativeLibrary:
    """A compiled `model.c`, loaded until the process ends; a copy takes its place when it moves."""

    def __init__(self, command: Sequence[str], source: Path, outputs: int) -> None:
        """Compiles `source` with `command` and loads it; raises ProgramError if that fails."""
        timing, library = source.with_name("timing.c"), source.with_suffix(".so")
        timing.write_text(TIMING)
        compile_c([*command, "-shared", "-fPIC", "-DMODEL_NO_MAIN", *WARNINGS], [source, timing], library)
        self._file, self._outputs, self._left = library, outputs, deque[ctypes.CDLL]()
        self._load(library)

    def _load(self, file: Path) -> None:
        self._library = ctypes.CDLL(str(file))
        self._library.predict.restype = None
        self._library.time_calls.restype = None
        self._library.time_reads.restype = None
        self._output = np.zeros(self._outputs, np.float32)

    def move(self) -> None:
        """Loads a copy of the file: other memory for code, weights and output. Earlier callers keep theirs for a while.

        A caller may be used until the library has moved MAX_LEFT times.
        """
        self._left.append(self._library)
        with tempfile.NamedTemporaryFile(dir=self._file.parent, suffix=".so") as copy:
            copy.write(self._file.read_bytes())
            copy.flush()
            self._load(Path(copy.name))
        if len(self._left) > MAX_LEFT:
            _ctypes.dlclose(self._left.popleft()._handle)

    def caller(self, row: Array) -> Callable[[], object]:
        """A function that calls predict on `row` (float32) from Python."""
        self._row = np.ascontiguousarray(row, np.float32)  # the call only holds its address
        return partial(self._library.predict, *(ctypes.c_void_p(one.ctypes.data) for one in (self._row, self._output)))

    def seconds(self, rows: Array, calls: int) -> Array:
        """Seconds of each of `calls` calls on `rows` in turn, timed in C, after a warm-up of a tenth as many."""
        inputs, taken = np.ascontiguousarray(rows, np.float32), np.zeros(calls + calls // 10, np.float64)
        numbers = [ctypes.c_int64(one) for one in (len(inputs), inputs.shape[1], len(taken))]
        count, width, all_calls = numbers
        pointers = [ctypes.c_void_p(one.ctypes.data) for one in (inputs, self._output, taken)]
        self._library.time_calls(pointers[0], count, width, pointers[1], pointers[2], all_calls)
        return taken[calls // 10 :]

    def read_seconds(self, nbytes: int, calls: int) -> Array:
        """Seconds of each of `calls` reads of `nbytes`: the memory bound for constants of that size."""
        words, total, taken = np.ones(max(1, nbytes // 8), np.uint64), np.zeros(1, np.uint64), np.zeros(calls)
        pointers = [ctypes.c_void_p(one.ctypes.data) for one in (words, total, taken)]
        counts = [ctypes.c_int64(one) for one in (len(words), calls)]
        self._library.time_reads(pointers[0], counts[0], pointers[1], pointers[2], counts[1])
        return taken
