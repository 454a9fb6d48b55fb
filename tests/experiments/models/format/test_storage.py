"""Every way of storing an array gives it back, and none believes what cannot be."""

import numpy as np
import pytest

from experiments.models.format.entropy import (
    ONE,
    Decoder,
    Encoder,
    decode_mask,
    decode_symbols,
    encode_mask,
    encode_symbols,
)
from experiments.models.format.storage import (
    ENCODINGS,
    ArrayLayout,
    ByteReader,
    decode_array,
    encode_array,
    write_length,
)


def sparse(form, density, seed=0):
    rng = np.random.default_rng(seed)
    words = rng.integers(1, 2**form.width, (form.inputs, form.outputs), np.uint64).astype(np.uint32)
    return words * (rng.random(words.shape) < density).astype(np.uint32)


@pytest.mark.parametrize("way", ENCODINGS)
@pytest.mark.parametrize("width", [1, 3, 8, 16, 32])
@pytest.mark.parametrize("density", [0, 0.002, 0.3, 1])
def test_words_come_back(way, width, density):
    form = ArrayLayout(49, 13, width, across=7)
    words = sparse(form, density)
    content = encode_array(words, form, way)
    assert content[0] == ENCODINGS.index(way)
    reader = ByteReader(content)
    assert np.array_equal(decode_array(reader, form), words)
    reader.finish()


def test_the_smallest_encoding_depends_on_the_density():
    form = ArrayLayout(400, 50, 4)
    chosen = [
        ENCODINGS[encode_array(sparse(form, density), form, "smallest", coded=False)[0]] for density in (1, 0.4, 0.01)
    ]
    assert chosen == ["dense", "bitmask", "csr"]
    assert ENCODINGS[encode_array(sparse(form, 0.1), form, "smallest")[0]] == "entropy"


def test_gaps_longer_than_a_byte_are_bridged():
    form = ArrayLayout(1, 2000, 8)
    words = np.zeros((1, 2000), np.uint32)
    words[0, [254, 510, 1021, 1999]] = 7  # 254, 255, 510 and 977 zeros before them
    content = encode_array(words, form, "csr")
    assert len(content) == 2 + 1 + (1 + 2 + 3 + 4) + 4
    assert np.array_equal(decode_array(ByteReader(content), form), words)


def test_few_values_are_stored_once():
    form = ArrayLayout(100, 40, 32)
    words = sparse(form, 0.2)
    few = np.where(words, 0x3F000000 + words % 5, 0).astype(np.uint32)
    assert len(encode_array(few, form, "entropy")) < len(encode_array(words, form, "entropy")) / 3


@pytest.mark.parametrize("way", ENCODINGS)
def test_damaged_words_are_refused_or_at_least_come_in_their_shape(way):
    form = ArrayLayout(30, 20, 16, across=5)
    content = encode_array(sparse(form, 0.2), form, way)
    rng = np.random.default_rng(2)
    for at in range(1, len(content), 5):
        wrong = bytearray(content)
        wrong[at] ^= 1 << int(rng.integers(8))
        try:
            words = decode_array(ByteReader(bytes(wrong)), form)
        except ValueError:
            continue
        assert words.shape == (30, 20)
    for end in range(0, len(content), 7):
        with pytest.raises(ValueError, match=r"left|truncated|end where"):
            decode_array(ByteReader(content[:end]), form)


def test_absurd_parts_are_refused():
    form = ArrayLayout(4, 4, 8)
    for wrong, said in [
        (bytes([len(ENCODINGS), 0]), "unknown encoding"),
        (b"\0\xff\xff\xff\xff\xff", "a length is too long"),
        (b"\0" + write_length(2**30), "1073741824 bytes are needed, 0 are left"),
        (b"\0" + write_length(17) + bytes(17), "1 bytes are left over"),
        (bytes([2, 4, 2, 255, 15, 1]), "beyond their matrix"),
        (bytes([2, 2, 1, 255]), "beyond their matrix"),
    ]:
        with pytest.raises(ValueError, match=said):
            decode_array(ByteReader(wrong), form)
    with pytest.raises(ValueError, match="must not be entropy-coded"):
        decode_array(ByteReader(encode_array(np.zeros((4, 4), np.uint32), form, "entropy")), form, coded=False)


@pytest.mark.parametrize("lanes", [1, 3, 64])
def test_decisions_take_the_bits_that_their_chances_allow(lanes):
    rng = np.random.default_rng(lanes)
    chances = rng.integers(1, ONE, 4001)
    bits = (rng.random(4001) * ONE < chances).astype(np.int64)
    encoder = Encoder(lanes)
    for part in np.array_split(np.arange(4001), 17):
        assert np.array_equal(encoder.encode(chances[part], bits[part]), bits[part])
    content = encoder.content()
    share = np.where(bits, chances, ONE - chances) / ONE
    assert len(content) <= -np.log2(share).sum() / 8 + 6 * lanes + 2
    decoder = Decoder(content, lanes)
    found = [decoder.decode(chances[part]) for part in np.array_split(np.arange(4001), 17)]
    decoder.finish()
    assert np.array_equal(np.concatenate(found), bits)


def test_a_structured_mask_takes_less_than_the_entropy_of_its_density():
    rng = np.random.default_rng(3)
    rows, columns = np.indices((28, 28)).reshape(2, -1)
    middle = ((rows - 14) ** 2 + (columns - 14) ** 2 < 60)[:, None]
    mask = middle & (rng.random((784, 40)) < 0.1)
    share = mask.mean()
    flat = -(share * np.log2(share) + (1 - share) * np.log2(1 - share)) * mask.size / 8
    content = encode_mask(mask, 28)
    assert len(content) < 0.8 * flat
    assert np.array_equal(decode_mask(content, mask.shape, 28), mask)


def test_frequent_symbols_take_fewer_bits():
    mask = np.ones((50, 40), bool)
    symbols = np.minimum(np.random.default_rng(4).geometric(0.5, 2000) - 1, 7)
    content = encode_symbols(symbols, mask, 3, 5)
    assert len(content) < 2000 * 2.2 / 8  # the entropy is 2 bits
    assert np.array_equal(decode_symbols(content, mask, 3, 5), symbols)


def test_a_decoder_notices_that_it_has_not_come_to_the_end():
    chances = np.full(100, ONE // 3)
    encoder = Encoder(2)
    encoder.encode(chances, np.arange(100) % 3 == 0)
    content = encoder.content()
    for wrong, taken in ((content, 98), (content + b"\0\0", 100)):
        decoder = Decoder(wrong, 2)
        decoder.decode(chances[:taken])
        with pytest.raises(ValueError, match="does not end where it should"):
            decoder.finish()
