"""Where a weight matrix is not zero and what stands there, entropy-coded with what is known of its neighbours.

A matrix here is [inputs, outputs]: input by input, since the inputs that matter (the middle of an image) hold most
weights, and an output that uses a pixel often uses the pixels around it. Two coded streams: the mask, then the
symbols at its ones.
"""

from collections.abc import Callable, Sequence

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.coding import ONE, Decoder, Encoder, lanes_for
from experiments.models.format.mixing import Mixer

LEVELS = 16  # into how many steps a density is sorted
TOUCHING = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours known by then: lines up, columns left
AROUND = (*TOUCHING, (0, 2), (2, 0), (1, 2), (1, -2), (2, 1))
MAX_NEAR_LEVELS = 4  # levels of symbols whose neighbours are looked at
BESIDE = (
    2**MAX_NEAR_LEVELS + 1,
    2**MAX_NEAR_LEVELS + 1,
    2 * len(TOUCHING) + 1,
)  # what `_beside` gives is less than that
MAX_CONTEXTS = 2**20  # of a table of counts: 16 MB
FIRST_PART, LARGEST_PART = 16, 4096  # symbols that are coded before the counts are brought up to date


def encode_mask(mask: Array, across: int) -> bytes:
    """The ones of `mask` (inputs, outputs); `across` inputs stand side by side in one line of an image."""
    coder, density = Encoder(lanes_for(mask.size)), int(mask.sum()) * (ONE - 1) // max(mask.size, 1)
    ones = mask.astype(np.int64)
    _code_mask(np.zeros(mask.shape, np.int64), across, density, lambda chances, row: coder.encode(chances, ones[row]))
    return density.to_bytes(2, "little") + coder.content()


def decode_mask(content: bytes, shape: tuple[int, int], across: int) -> Array:
    """The boolean mask that `encode_mask` took; ValueError where the bytes are none."""
    mask = np.zeros(shape, np.int64)
    coder = Decoder(content[2:], lanes_for(mask.size))
    _code_mask(mask, across, int.from_bytes(content[:2], "little"), lambda chances, _: coder.decode(chances))
    coder.finish()
    return np.asarray(mask != 0)


def _code_mask(mask: Array, across: int, prior: int, code: Callable[[Array, int], Array]) -> None:
    """Fills `mask` row by row with what `code(chances, row)` gives."""
    outputs = mask.shape[1]
    own = np.arange(outputs)
    sizes = (outputs, 64, LEVELS * LEVELS, (len(AROUND) + 1) * LEVELS, LEVELS * LEVELS)
    model = Mixer(sizes, sets=5, prior=prior)
    seen = np.zeros(outputs, np.int64)
    for row in range(len(mask)):
        near = _near(mask, row, across, AROUND)
        left, up, corner, other, *_ = near
        beside = left + up + corner + other
        pattern = left + 2 * up + 4 * corner + 8 * other + 16 * near[4] + 32 * near[5]
        lines = _level(sum(int(one.sum()) for one in near[:4]), 4 * outputs)
        farther = _level(sum(int(one.sum()) for one in near), len(near) * outputs)
        unit = _levels(seen, row)
        contexts = (
            own,
            pattern,
            np.full(outputs, lines * LEVELS + farther),
            sum(near) * LEVELS + unit,
            lines * LEVELS + unit,
        )
        chances = model.predict(contexts, beside)
        mask[row] = code(chances, row)
        model.learn(mask[row])
        seen += mask[row]


def _near(rows: Array, row: int, across: int, places: Sequence[tuple[int, int]]) -> list[Array]:
    """The earlier rows that lie lines up and columns left of one, as `places` says; zeros beyond the image."""
    line, column = divmod(row, across)
    nothing = np.zeros(rows.shape[1], np.int64)
    return [
        rows[row - up * across - left] if line >= up and 0 <= column - left < across else nothing for up, left in places
    ]


def _level(ones: int, of: int) -> int:
    return int(_levels(np.array([ones]), of)[0])


def _levels(ones: Array, of: int) -> Array:
    """Densities of ones on a scale from 0 (none) to LEVELS - 1 (all), fine near 0; integers only."""
    share = ones * 2**14 // max(of, 1)  # two levels for each doubling from 2^6 of 2^14 on
    return np.asarray(np.searchsorted(EDGES, share, side="right"))


EDGES = np.array([1, 64, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793, 8192])


def encode_symbols(symbols: Array, mask: Array, levels: int, across: int) -> bytes:
    """Symbols (n,) of `levels` bits at the ones of `mask` (inputs, outputs), input by input."""
    coder, wanted = Encoder(lanes_for(len(symbols) * levels)), symbols.astype(np.int64)
    _code_symbols(
        mask,
        levels,
        across,
        lambda chances, part, level: coder.encode(chances, wanted[part] >> (levels - 1 - level) & 1),
    )
    return coder.content()


def decode_symbols(content: bytes, mask: Array, levels: int, across: int) -> Array:
    """The symbols that `encode_symbols` took, int64; ValueError where the bytes are none."""
    coder = Decoder(content, lanes_for(int(mask.sum()) * levels))
    symbols = _code_symbols(mask, levels, across, lambda chances, *_: coder.decode(chances))
    coder.finish()
    return symbols


def _code_symbols(mask: Array, levels: int, across: int, code: Callable[[Array, slice, int], Array]) -> Array:
    """The symbols bit by bit as `code(chances, part, level)` gives them, the most significant first.

    A bit's contexts hold the bits of the symbol before it. Of few levels, those of the inputs beside it are looked
    at too: the weights of one output to adjacent pixels often have the same sign, the uppermost bit.
    """
    inputs, outputs = np.nonzero(mask)
    symbols, known = np.zeros(len(outputs), np.int64), np.zeros(mask.shape, np.int64)
    states = 2**levels
    near, each = levels <= MAX_NEAR_LEVELS and across > 1, mask.shape[1] * states <= MAX_CONTEXTS
    sizes = [1, *([mask.shape[1]] if each else []), *(BESIDE if near else [])]
    model = Mixer([size * states for size in sizes], sets=levels)
    for part in _rows(inputs) if near else _parts(len(symbols)):
        own = outputs[part]
        places = [np.zeros(len(own), np.int64), *([own] if each else [])]
        places += _beside(known, int(inputs[part.start]), own, across, states) if near else []
        prefix = np.ones(len(own), np.int64)
        for level in range(levels):
            chances = model.predict([place * states + prefix for place in places], np.full(len(own), level))
            bits = code(chances, part, level)
            model.learn(bits)
            prefix = prefix << 1 | bits
        symbols[part] = prefix - states
        known[inputs[part], own] = symbols[part] + 1
    return symbols


def _beside(known: Array, row: int, own: Array, across: int, states: int) -> list[Array]:
    """Symbol + 1 (0: none) of the inputs left of and above one, and the balance of signs, 0 to 8, of all around it."""
    around = [near[own] for near in _near(known, row, across, TOUCHING)]
    signs = [np.sign(one) - 2 * (one > states // 2) for one in around]
    return [around[0], around[1], np.asarray(sum(signs)) + len(TOUCHING)]


def _rows(inputs: Array) -> list[slice]:
    """The symbols of one input after another."""
    starts = np.flatnonzero(np.diff(inputs, prepend=-1)).tolist()
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(inputs)], strict=True)] if starts else []


def _parts(count: int) -> Sequence[slice]:
    """Parts that grow: small ones first, while there is much to learn."""
    starts, size = [0], FIRST_PART
    while starts[-1] + size < count:
        starts.append(starts[-1] + size)
        size = min(LARGEST_PART, starts[-1] // 4 + FIRST_PART)
    return [slice(*ends) for ends in zip(starts, [*starts[1:], count], strict=True)] if count else []
