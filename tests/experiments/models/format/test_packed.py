"""The packed file: exact there and back, nothing accepted that is not whole."""

import struct
import zlib
from typing import get_args

import numpy as np
import pytest

from experiments.models.format.packed import MAGIC, DamagedModel, layer_bytes, pack, read_header, unpack, write_header
from experiments.models.format.storage import Storage, pack_bits, packed_size, unpack_bits
from experiments.models.sequential.network import Linear, Network, parameter_count
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy, logits_numpy
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from tests.experiments.models.small_network import held_out, mixed, trained

SPECS = [
    *(QuantSpec("static", bits) for bits in range(2, 9)),
    *(QuantSpec("weight_only", bits, symmetry="asymmetric") for bits in (2, 3, 8)),
    QuantSpec("dynamic", 6, granularity="per_tensor", symmetry="asymmetric"),
    QuantSpec("static", 8, 3, symmetry="asymmetric", observer="percentile", percentile=0.99),
    QuantSpec("static", 8, layer_bits=(("layers.1", 5), ("layers.2", 2))),
    QuantSpec("float16"),
    QuantSpec("float32"),
]


PRUNED_SPECS = [
    *(QuantSpec("float32"), QuantSpec("float16"), QuantSpec("weight_only", 3), QuantSpec("static")),
    QuantSpec("weight_only", 5, symmetry="asymmetric"),
]


def pruned(network, weights, share=0.9):
    """The weights of small magnitude times 0, which leaves some of them as -0.0."""
    cut = {name: np.quantile(np.abs(one), share if one.ndim > 1 else 0) for name, one in weights.items()}
    return network, {name: one * (np.abs(one) >= cut[name]) for name, one in weights.items()}


def quantized(spec=None, model=trained):
    network, weights = model()
    images = held_out(64).images
    return quantize(network, weights, spec or QuantSpec(), calibrate(network, weights, images))


@pytest.fixture(scope="module")
def file():
    return pack(quantized())


def resealed(content: bytes) -> bytes:
    """Content with the right checksum behind it: as somebody would write it who means harm."""
    return content + struct.pack("<I", zlib.crc32(content))


def with_header(file: bytes, change) -> bytes:
    length = struct.unpack_from("<H", file, 8)[0]
    header = read_header(file[10 : 10 + length])
    change(header)
    text = write_header(header)
    return resealed(MAGIC + struct.pack("<H", len(text)) + text + file[10 + length : -4])


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1001])
def test_bits_come_back(bits, count):
    values = np.random.default_rng(count).integers(0, 2**bits, count).astype(np.uint8)
    packed = pack_bits(values, bits)
    assert len(packed) == packed_size(count, bits) == -(-count * bits // 8)
    assert np.array_equal(unpack_bits(packed, count, bits), values)


def test_bits_packed_by_hand():
    assert pack_bits(np.array([5, 1, 7]), 3) == bytes([0b10100111, 0b10000000])
    with pytest.raises(ValueError, match="after the last integer"):
        unpack_bits(bytes([0b10100111, 0b10000001]), 3, 3)
    with pytest.raises(ValueError, match="3 integers of 3 bits are not 1 bytes"):
        unpack_bits(b"1", 3, 3)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("model", [pytest.param(trained, marks=pytest.mark.slow), mixed])
def test_a_model_comes_back_bit_for_bit(spec, model):
    before = quantized(spec, model)
    file = pack(before)
    after = unpack(file)
    assert (after.network, after.spec, pack(after)) == (before.network, before.spec, file)
    for old, new in zip(before.layers, after.layers, strict=True):
        for field in ("weight", "bias"):
            assert getattr(old, field).dtype == getattr(new, field).dtype
            assert np.array_equal(getattr(old, field), getattr(new, field))
        for grids in ((old.weight_qparams, new.weight_qparams), (old.input_qparams, new.input_qparams)):
            if grids[0] is not None:
                assert np.array_equal(grids[0].scales, grids[1].scales)
                assert np.array_equal(grids[0].zero_points, grids[1].zero_points)
                assert (grids[0].qmin, grids[0].qmax) == (grids[1].qmin, grids[1].qmax)
    images = held_out(40).images
    assert np.array_equal(logits_numpy(before, images), logits_numpy(after, images))


@pytest.mark.parametrize("storage", get_args(Storage))
@pytest.mark.parametrize("model", [pytest.param(trained, marks=pytest.mark.slow), mixed])
@pytest.mark.parametrize("spec", PRUNED_SPECS, ids=str)
def test_a_pruned_model_comes_back_in_every_storage(spec, model, storage):
    before = quantized(spec, lambda: pruned(*model()))
    after = unpack(pack(before, storage))
    for old, new in zip(before.layers, after.layers, strict=True):
        assert np.array_equal(old.weight, new.weight) and old.weight.dtype == new.weight.dtype
        assert np.array_equal(old.bias, new.bias) and old.bias.dtype == new.bias.dtype


def test_the_smallest_storage_is_chosen_for_each_array():
    model = quantized(QuantSpec("float16"), lambda: pruned(*trained()))
    sizes = {storage: len(pack(model, storage)) for storage in get_args(Storage)}
    assert sizes["smallest"] <= min(sizes.values())
    assert sizes["entropy"] < min(sizes["csr"], sizes["bitmask"]) < sizes["dense"] / 3


def test_layer_bytes_is_the_size_of_a_layer_in_the_file():
    for spec in (QuantSpec("static"), QuantSpec("weight_only", 3, symmetry="asymmetric"), QuantSpec("float32")):
        network = trained()[0]
        foretold = sum(layer_bytes(place, spec) for place in network.walk())
        assert len(pack(quantized(spec))) - foretold == pytest.approx(60, abs=46)  # magic, header, checksum


def test_a_network_too_large_for_the_coder_is_packed_without_it():
    network = Network("wide", (Linear(2**13 + 1, 4),), (2**13 + 1,))
    weights = {"layers.0.weight": np.zeros((4, 2**13 + 1), np.float32), "layers.0.bias": np.ones(4, np.float32)}
    model = quantize(network, weights, QuantSpec("float32"))
    file = pack(model, "smallest")
    assert len(file) < 200  # no weight is there but its absence
    assert not unpack(file).layers[0].weight.any()
    with pytest.raises(ValueError, match="wide is too large to be entropy-coded; use smallest"):
        pack(model, "entropy")


def test_the_restored_model_has_the_accuracy():
    data = held_out()
    before = quantized(QuantSpec(weight_bits=4))
    assert accuracy_numpy(unpack(pack(before)), data.images, data.labels) == accuracy_numpy(
        before, data.images, data.labels
    )


def test_the_size_is_that_of_the_bits():
    sizes = {bits: len(pack(quantized(QuantSpec("weight_only", bits)))) for bits in (2, 4, 8)}
    weights = 784 * 24 + 24 * 16 + 16 * 10
    lengths = 3  # each array may need one byte more to say how long it is
    assert 0 <= sizes[8] - sizes[4] - weights // 2 <= lengths
    assert 0 <= sizes[4] - sizes[2] - weights // 4 <= lengths
    floats = len(pack(quantized(QuantSpec("float32")))) - parameter_count(trained()[0]) * 4
    assert 0 < floats < 800  # the header and the checksum


def test_a_damaged_file_is_refused(file):
    generator = np.random.default_rng(1)
    for at in [*range(12), *generator.integers(12, len(file), 60).tolist()]:
        with pytest.raises(DamagedModel):
            unpack(file[:at] + bytes([file[at] ^ 1 << int(generator.integers(8))]) + file[at + 1 :])


def test_a_truncated_or_longer_file_is_refused(file):
    for wrong in (b"", file[:5], file[:8], file[:12], file[:300], file[:-1], file + b"\0", resealed(file)):
        with pytest.raises(DamagedModel):
            unpack(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h["network"]["layers"][0].update(outputs=2**24), "cannot follow"),
        (lambda h: h["network"]["layers"][2].update(outputs=2**24), "more than 33,554,432 weights"),
        (lambda h: h["network"]["layers"][2].update(outputs=2**60), "outputs: not an integer"),
        (lambda h: h["network"]["layers"][2].update(outputs=True), "outputs: not an integer"),
        (lambda h: h["network"]["layers"][2].update(kind="__import__"), "kind is not one of linear, conv"),
        (lambda h: h["network"]["layers"][2].update(kind=[]), "kind is not one of linear, conv"),
        (lambda h: h["network"]["layers"][2].update(relu=1), "relu is neither"),
        (lambda h: h["network"].update(layers=h["network"]["layers"] * 100), "at most 64"),
        (lambda h: h["network"].update(layers=[]), "at least one layer"),
        (lambda h: h["network"].update(image=[2**20, 2**20, 2**20]), "image shape"),
        (lambda h: h["network"].update(image=784), "image shape"),
        (lambda h: h["network"].update(name="x" * 1000), "name"),
        (lambda h: h["spec"].update(weight_bits=9), "weight_bits: 9"),
        (lambda h: h["spec"].update(weight_bits="8"), "weight_bits is not a number"),
        (lambda h: h["spec"].update(scheme=["static"]), "scheme"),
        (lambda h: h["spec"].update(percentile=float("nan")), "percentile"),
        (lambda h: h["spec"].update(layer_bits=[["layers.0"]]), "layer_bits"),
        (lambda h: h["network"]["layers"][2].update(outputs=2**20), "are left"),
        (lambda h: h["spec"].update(scheme="float32"), "unknown encoding"),
        (lambda h: h["spec"].update(more=1), "fields are not"),
        (lambda h: h.update(more=1), "network and spec"),
    ],
)
def test_absurd_headers_are_refused_in_one_line(file, change, said):
    with pytest.raises(DamagedModel, match=said) as raised:
        unpack(with_header(file, change))
    assert "\n" not in str(raised.value)


def test_headers_that_are_no_header_are_refused(file):
    for text in (b"[" * 60_000, b"\xff", b"{", b"[]", b"null", b" " * 2**22):
        packer = zlib.compressobj(9, wbits=-15)
        content = packer.compress(text) + packer.flush()
        for cut in (content, content[:-1], content + b"\0"):
            with pytest.raises(DamagedModel):
                unpack(resealed(MAGIC + struct.pack("<H", len(cut)) + cut + file[400:-4]))
    with pytest.raises(DamagedModel, match="65535 bytes are needed"):
        unpack(resealed(MAGIC + struct.pack("<H", 2**16 - 1) + file[10:1000]))
    with pytest.raises(DamagedModel, match="another version: 01"):
        unpack(resealed(MAGIC[:-1] + b"\x01" + file[8:-4]))


def test_impossible_quantization_parameters_are_refused(file):
    start = 10 + struct.unpack_from("<H", file, 8)[0]
    for at, kind, value in [
        (0, "<h", -300),  # the lowest integer of the weights
        (2, "<h", 30_000),
        (4, "<f", float("nan")),  # the scale of the input
        (4, "<f", -1.0),
        (4, "<f", 0.0),
        (8, "<h", 300),  # its zero point
        (14, "<f", float("inf")),  # the first scale of the weights
    ]:
        content = bytearray(file[:-4])
        struct.pack_into(kind, content, start + at, value)
        with pytest.raises(DamagedModel):
            unpack(resealed(bytes(content)))


def test_a_weight_outside_its_range_of_integers_is_refused():
    file = pack(quantized(QuantSpec("weight_only", 2)))
    content = bytearray(file[:-4])
    content[-4 * 10 - 3] = 0xAA  # the last weights: 2 more than 0, where symmetric integers of 2 bits are 0 to 2
    with pytest.raises(DamagedModel, match="a weight exceeds its range of integers"):
        unpack(resealed(bytes(content)))
