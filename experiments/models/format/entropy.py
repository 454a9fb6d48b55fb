"""Entropy coding of a sparse weight matrix: range coder, adaptive probability model, and the two streams of a matrix.

The coder uses asymmetric numeral systems in their range form, with several interleaved states so that numpy codes one
binary symbol per state in each step. The model counts symbols in several contexts and mixes the counts with a small
logistic model that learns; encoder and decoder run the same model over the same symbols, so it is not stored. All
arithmetic is integer, so that every machine decodes the same. Written with numpy alone: the one well-kept package for
it (constriction) has no wheels for Linux on ARM.
Sources: Duda 2013, arXiv 1311.2540; Giesen 2014, arXiv 1402.3392 (interleaved states); Mahoney 2005, Adaptive Weighing
of Context Models for Lossless Data Compression (PAQ).
"""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from experiments.bench.arrays import Array

ONE = 2**16  # probabilities are integers from 1 to ONE - 1
MIN_STATE = 2**16  # below it a state reads 16 more bits
MAX_STATES = 256
SYMBOLS_PER_STATE = 2**14  # a state costs 4 bytes, a step about 15 microseconds


def state_count(symbols: int) -> int:
    """The number of interleaved states for `symbols` symbols: fewer for short inputs, since each costs 4 bytes."""
    return min(MAX_STATES, max(1, symbols // SYMBOLS_PER_STATE))


class Encoder:
    """Collects binary symbols; `content` encodes them in reverse order, so that the decoder can read forward."""

    def __init__(self, states: int) -> None:
        self._count = states
        self._bits: list[Array] = []
        self._probabilities: list[Array] = []

    def encode(self, probabilities: Array, bits: Array) -> Array:
        """Adds symbols (n,) of 0 or 1; `probabilities` (n,) of a 1 in units of 1 / ONE. Returns `bits`."""
        for start in range(0, len(bits), self._count):
            self._bits.append(bits[start : start + self._count].astype(np.int64))
            self._probabilities.append(probabilities[start : start + self._count].astype(np.int64))
        return bits

    def content(self) -> bytes:
        """The final states, 4 bytes each, then the 16-bit words that the decoder reads."""
        states = np.full(self._count, MIN_STATE, np.int64)
        emitted: list[Array] = []
        for bits, probabilities in zip(reversed(self._bits), reversed(self._probabilities), strict=True):
            share = np.where(bits, probabilities, ONE - probabilities)
            state = states[: len(bits)]
            full = state >= share << 16
            if full.any():
                emitted.append(state[full] & 0xFFFF)
                state = np.where(full, state >> 16, state)
            states[: len(bits)] = (state // share << 16) + state % share + np.where(bits, 0, probabilities)
        words = np.concatenate(emitted[::-1]) if emitted else np.zeros(0, np.int64)
        return states.astype("<u4").tobytes() + words.astype("<u2").tobytes()


class Decoder:
    """Decodes the symbols of `Encoder.content`; raises ValueError if the bytes are not such content."""

    def __init__(self, content: bytes, states: int) -> None:
        if len(content) < 4 * states or len(content) % 2:
            raise ValueError("an encoded part is truncated")
        self._states = np.frombuffer(content[: 4 * states], "<u4").astype(np.int64)
        self._words = np.frombuffer(content[4 * states :], "<u2").astype(np.int64)
        self._count, self._position = states, 0

    def decode(self, probabilities: Array) -> Array:
        """The next symbols, one for each of `probabilities`, which must equal those of the encoder."""
        bits = np.empty(len(probabilities), np.int64)
        for start in range(0, len(bits), self._count):
            bits[start : start + self._count] = self._step(probabilities[start : start + self._count])
        return bits

    def _step(self, probabilities: Array) -> Array:
        state = self._states[: len(probabilities)]
        slot = state & 0xFFFF
        bits = slot < probabilities
        high = state >> 16
        state = np.where(bits, probabilities * high + slot, (ONE - probabilities) * high + slot - probabilities)
        (low,) = np.nonzero(state < MIN_STATE)
        if len(low):
            words = self._words[self._position : self._position + len(low)]
            if len(words) < len(low):
                raise ValueError("an encoded part is truncated")
            state[low] = (state[low] << 16) | words
            self._position += len(low)
        self._states[: len(probabilities)] = state
        return bits

    def finish(self) -> None:
        """Raises ValueError if words are left over or the states are not the encoder's initial ones."""
        if self._position != len(self._words) or (self._states != MIN_STATE).any():
            raise ValueError("an encoded part does not end where it should")


MAX_LOGIT = 2047  # log odds in steps of 1/256, between -8 and 8
LOGIT_STEPS = 256
STRETCH_ENTRIES = 2**15
ONE_SYMBOL, PRIOR_COUNT, MAX_COUNT = 64, 64, 64 * 255  # in counts; above MAX_COUNT both counts are halved
INITIAL_WEIGHT, LEARNING_RATE = 1.0, 16
WEIGHT_SCALE = 2**16  # mixing weights are integers in steps of 1 / WEIGHT_SCALE


@functools.cache
def _squash_table() -> Array:
    """The probability of each log odds; by `math`, whose rounding is the same on every machine."""
    logits = range(-MAX_LOGIT, MAX_LOGIT + 1)
    return np.array([round(ONE / (1 + math.exp(-x / LOGIT_STEPS))) for x in logits]).clip(16, ONE - 16)


@functools.cache
def _stretch_table() -> Array:
    """The log odds of each probability, the inverse of `_squash_table`."""
    shares = (number + 0.5 for number in range(STRETCH_ENTRIES))
    logits = [round(LOGIT_STEPS * math.log(share / (STRETCH_ENTRIES - share))) for share in shares]
    return np.array(logits).clip(-MAX_LOGIT, MAX_LOGIT)


class Mixer:
    """Predicts binary symbols from one index into each table of counts, and learns from the symbols.

    `sizes`: entries of each table. `sets`: sets of mixing weights, of which each symbol selects one. `prior`: the
    probability of a 1 before any symbol, in units of 1 / ONE.
    """

    def __init__(self, sizes: Sequence[int], sets: int = 1, prior: int = ONE // 2) -> None:
        self._squash, self._stretch = _squash_table(), _stretch_table()
        self._all = [np.full(size, PRIOR_COUNT + 2, np.int64) for size in sizes]
        self._ones = [np.full(size, prior * PRIOR_COUNT // ONE + 1, np.int64) for size in sizes]
        self._weights = np.full((sets, len(sizes)), round(WEIGHT_SCALE * INITIAL_WEIGHT / len(sizes)), np.int64)

    def predict(self, contexts: Sequence[Array], sets: Array) -> Array:
        """Probabilities (n,) of a 1, in units of 1 / ONE; `contexts` holds an (n,) index for each table."""
        self._contexts, self._sets = contexts, sets
        counted = zip(self._ones, self._all, contexts, strict=True)
        self._inputs = np.stack(
            [self._stretch[ones[one] * STRETCH_ENTRIES // every[one]] for ones, every, one in counted]
        )
        mixed = (self._weights[sets].T * self._inputs).sum(axis=0) // WEIGHT_SCALE
        self._predicted = np.asarray(self._squash[mixed.clip(-MAX_LOGIT, MAX_LOGIT) + MAX_LOGIT])
        return self._predicted

    def learn(self, bits: Array) -> None:
        """Updates weights and counts with the symbols (n,) that `predict` predicted last."""
        errors = bits * ONE - self._predicted
        updates = self._inputs * errors  # in units of 1 / (LOGIT_STEPS * ONE)
        for number, row in enumerate(updates):
            step = np.zeros(len(self._weights), np.int64)
            np.add.at(step, self._sets, row)
            self._weights[:, number] += step * LEARNING_RATE // 2**22
        for ones, every, one in zip(self._ones, self._all, self._contexts, strict=True):
            ones += np.bincount(one[bits != 0], minlength=len(ones)) * ONE_SYMBOL
            every += np.bincount(one, minlength=len(every)) * ONE_SYMBOL
            old = every > MAX_COUNT
            if old.any():
                ones[old] = ones[old] // 2 + 1
                every[old] = every[old] // 2 + 2


# A matrix is [inputs, outputs]: row by row, since the inputs that matter (the middle of an image) hold most weights,
# and an output that uses a pixel often uses the adjacent pixels. First the mask of non-zeros is encoded, then the
# symbols at its ones.
LEVELS = 16  # quantization levels of a density
TOUCHING = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbors that are already decoded: (lines up, columns left)
AROUND = (*TOUCHING, (0, 2), (2, 0), (1, 2), (1, -2), (2, 1))
MAX_NEIGHBOR_BITS = 4  # symbols of more bits do not use their neighbors as contexts
NEIGHBOR_SIZES = (2**MAX_NEIGHBOR_BITS + 1, 2**MAX_NEIGHBOR_BITS + 1, 2 * len(TOUCHING) + 1)
MAX_CONTEXTS = 2**20  # entries of a table of counts: 16 MB
FIRST_PART, LARGEST_PART = 16, 4096  # symbols that are coded between two updates of the counts
DENSITY_EDGES = np.array([1, 64, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793, 8192])


def encode_mask(mask: Array, across: int) -> bytes:
    """The boolean `mask` (inputs, outputs); `across` inputs form one line of an image."""
    coder, density = Encoder(state_count(mask.size)), int(mask.sum()) * (ONE - 1) // max(mask.size, 1)
    ones = mask.astype(np.int64)
    _code_mask(np.zeros(mask.shape, np.int64), across, density, lambda odds, row: coder.encode(odds, ones[row]))
    return density.to_bytes(2, "little") + coder.content()


def decode_mask(content: bytes, shape: tuple[int, int], across: int) -> Array:
    """The boolean mask that `encode_mask` encoded; raises ValueError if the bytes are damaged."""
    mask = np.zeros(shape, np.int64)
    coder = Decoder(content[2:], state_count(mask.size))
    _code_mask(mask, across, int.from_bytes(content[:2], "little"), lambda odds, _: coder.decode(odds))
    coder.finish()
    return np.asarray(mask != 0)


def _code_mask(mask: Array, across: int, prior: int, code: Callable[[Array, int], Array]) -> None:
    """Fills `mask` row by row with the result of `code(probabilities, row)`."""
    outputs = mask.shape[1]
    own = np.arange(outputs)
    sizes = (outputs, 64, LEVELS * LEVELS, (len(AROUND) + 1) * LEVELS, LEVELS * LEVELS)
    model = Mixer(sizes, sets=5, prior=prior)
    ones_so_far = np.zeros(outputs, np.int64)
    for row in range(len(mask)):
        near = _neighbors(mask, row, across, AROUND)
        left, up, corner, other, *_ = near
        touching = left + up + corner + other
        pattern = left + 2 * up + 4 * corner + 8 * other + 16 * near[4] + 32 * near[5]
        lines = _level(sum(int(one.sum()) for one in near[:4]), 4 * outputs)
        farther = _level(sum(int(one.sum()) for one in near), len(near) * outputs)
        unit = _levels(ones_so_far, row)
        contexts = (
            own,
            pattern,
            np.full(outputs, lines * LEVELS + farther),
            sum(near) * LEVELS + unit,
            lines * LEVELS + unit,
        )
        probabilities = model.predict(contexts, touching)
        mask[row] = code(probabilities, row)
        model.learn(mask[row])
        ones_so_far += mask[row]


def _neighbors(rows: Array, row: int, across: int, offsets: Sequence[tuple[int, int]]) -> list[Array]:
    """The earlier rows at `offsets` (lines up, columns left) from `row`; zeros beyond the image."""
    line, column = divmod(row, across)
    nothing = np.zeros(rows.shape[1], np.int64)
    return [
        rows[row - up * across - left] if line >= up and 0 <= column - left < across else nothing
        for up, left in offsets
    ]


def _level(ones: int, of: int) -> int:
    return int(_levels(np.array([ones]), of)[0])


def _levels(ones: Array, of: int) -> Array:
    """Densities of ones on a scale from 0 (none) to LEVELS - 1 (all), fine near 0; integers only."""
    share = ones * 2**14 // max(of, 1)  # two levels for each doubling from 2^6 of 2^14 on
    return np.asarray(np.searchsorted(DENSITY_EDGES, share, side="right"))


def encode_symbols(symbols: Array, mask: Array, bits: int, across: int) -> bytes:
    """Symbols (n,) of `bits` bits at the ones of `mask` (inputs, outputs), row by row."""
    coder, values = Encoder(state_count(len(symbols) * bits)), symbols.astype(np.int64)
    _code_symbols(
        mask,
        bits,
        across,
        lambda odds, part, bit: coder.encode(odds, values[part] >> (bits - 1 - bit) & 1),
    )
    return coder.content()


def decode_symbols(content: bytes, mask: Array, bits: int, across: int) -> Array:
    """The symbols that `encode_symbols` encoded, int64; raises ValueError if the bytes are damaged."""
    coder = Decoder(content, state_count(int(mask.sum()) * bits))
    symbols = _code_symbols(mask, bits, across, lambda odds, *_: coder.decode(odds))
    coder.finish()
    return symbols


def _code_symbols(mask: Array, bits: int, across: int, code: Callable[[Array, slice, int], Array]) -> Array:
    """The symbols bit by bit, the most significant first, as `code(probabilities, part, bit)` returns them.

    The context of a bit includes the more significant bits of its symbol. Symbols of few bits also use the adjacent
    inputs: the weights of one output to adjacent pixels often have the same sign, the most significant bit.
    """
    inputs, outputs = np.nonzero(mask)
    symbols, known = np.zeros(len(outputs), np.int64), np.zeros(mask.shape, np.int64)
    states = 2**bits
    near, by_output = bits <= MAX_NEIGHBOR_BITS and across > 1, mask.shape[1] * states <= MAX_CONTEXTS
    sizes = [1, *([mask.shape[1]] if by_output else []), *(NEIGHBOR_SIZES if near else [])]
    model = Mixer([size * states for size in sizes], sets=bits)
    for part in _rows(inputs) if near else _growing_parts(len(symbols)):
        own = outputs[part]
        contexts = [np.zeros(len(own), np.int64), *([own] if by_output else [])]
        contexts += _neighbor_contexts(known, int(inputs[part.start]), own, across, states) if near else []
        prefix = np.ones(len(own), np.int64)
        for bit in range(bits):
            probabilities = model.predict([context * states + prefix for context in contexts], np.full(len(own), bit))
            coded = code(probabilities, part, bit)
            model.learn(coded)
            prefix = prefix << 1 | coded
        symbols[part] = prefix - states
        known[inputs[part], own] = symbols[part] + 1
    return symbols


def _neighbor_contexts(known: Array, row: int, own: Array, across: int, states: int) -> list[Array]:
    """Symbol + 1 (0: none) of the inputs to the left and above, and the sum of signs, 0 to 8, of all neighbors."""
    around = [near[own] for near in _neighbors(known, row, across, TOUCHING)]
    signs = [np.sign(one) - 2 * (one > states // 2) for one in around]
    return [around[0], around[1], np.asarray(sum(signs)) + len(TOUCHING)]


def _rows(inputs: Array) -> list[slice]:
    """The symbols of each input, one slice per input."""
    starts = np.flatnonzero(np.diff(inputs, prepend=-1)).tolist()
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(inputs)], strict=True)] if starts else []


def _growing_parts(count: int) -> Sequence[slice]:
    """Slices that grow: small at first, while the model learns fast."""
    starts, size = [0], FIRST_PART
    while starts[-1] + size < count:
        starts.append(starts[-1] + size)
        size = min(LARGEST_PART, starts[-1] // 4 + FIRST_PART)
    return [slice(*ends) for ends in zip(starts, [*starts[1:], count], strict=True)] if count else []
