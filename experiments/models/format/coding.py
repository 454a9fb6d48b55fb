"""An entropy coder for yes-or-no decisions whose probabilities the caller knows: many decisions at a time.

Asymmetric numeral systems in their range form, several states side by side ("lanes") so that numpy codes as many
decisions in one step as there are lanes. Written here with numpy alone: the one well-kept package for it
(constriction) has no wheels for Linux on ARM. Integers only, so that every machine decodes the same.
Source: Duda 2013, arXiv 1311.2540; Giesen 2014, arXiv 1402.3392 (interleaved states).
"""

import numpy as np

from experiments.bench.arrays import Array

ONE = 2**16  # probabilities are integers of 1 to ONE - 1
LOWEST = 2**16  # a state is at least so large; below it 16 bits are taken in
MAX_LANES = 256
DECISIONS_PER_LANE = 2**14  # a lane costs 4 bytes, a step about 15 microseconds


def lanes_for(decisions: int) -> int:
    """How many lanes code about so many decisions: few for few, since each costs 4 bytes."""
    return min(MAX_LANES, max(1, decisions // DECISIONS_PER_LANE))


class Encoder:
    """Collects decisions; `content` codes them, last first, as a decoder that goes forward needs it."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._bits: list[Array] = []
        self._chances: list[Array] = []

    def encode(self, chances: Array, bits: Array) -> Array:
        """Takes decisions (n,) of 0 or 1, where `chances` of ONE is how probable a 1 was; gives `bits` back."""
        for start in range(0, len(bits), self._lanes):
            self._bits.append(bits[start : start + self._lanes].astype(np.int64))
            self._chances.append(chances[start : start + self._lanes].astype(np.int64))
        return bits

    def content(self) -> bytes:
        """The states, 4 bytes each, then the 16 bits at a time that the decoder takes in."""
        states = np.full(self._lanes, LOWEST, np.int64)
        taken: list[Array] = []
        for bits, chances in zip(reversed(self._bits), reversed(self._chances), strict=True):
            share = np.where(bits, chances, ONE - chances)
            state = states[: len(bits)]
            full = state >= share << 16
            if full.any():
                taken.append(state[full] & 0xFFFF)
                state = np.where(full, state >> 16, state)
            states[: len(bits)] = (state // share << 16) + state % share + np.where(bits, 0, chances)
        words = np.concatenate(taken[::-1]) if taken else np.zeros(0, np.int64)
        return states.astype("<u4").tobytes() + words.astype("<u2").tobytes()


class Decoder:
    """Gives back the decisions of `Encoder.content`; ValueError where the bytes cannot be one."""

    def __init__(self, content: bytes, lanes: int) -> None:
        if len(content) < 4 * lanes or len(content) % 2:
            raise ValueError("a coded part is cut short")
        self._states = np.frombuffer(content[: 4 * lanes], "<u4").astype(np.int64)
        self._words = np.frombuffer(content[4 * lanes :], "<u2").astype(np.int64)
        self._lanes, self._at = lanes, 0

    def decode(self, chances: Array) -> Array:
        """As many decisions as there are `chances`, which must be those of the encoder."""
        bits = np.empty(len(chances), np.int64)
        for start in range(0, len(bits), self._lanes):
            bits[start : start + self._lanes] = self._step(chances[start : start + self._lanes])
        return bits

    def _step(self, chances: Array) -> Array:
        state = self._states[: len(chances)]
        place = state & 0xFFFF
        bits = place < chances
        state = np.where(bits, chances * (state >> 16) + place, (ONE - chances) * (state >> 16) + place - chances)
        (low,) = np.nonzero(state < LOWEST)
        if len(low):
            words = self._words[self._at : self._at + len(low)]
            if len(words) < len(low):
                raise ValueError("a coded part is cut short")
            state[low] = (state[low] << 16) | words
            self._at += len(low)
        self._states[: len(chances)] = state
        return bits

    def finish(self) -> None:
        """ValueError where not all was taken, or the states are not those that encoding began with."""
        if self._at != len(self._words) or (self._states != LOWEST).any():
            raise ValueError("a coded part does not end where it should")
