import json
import struct

import numpy as np
import pytest

from experiments.models.tensor_file import decode, encode, read, write

TYPES = ["<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"]
ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([-1, 2], np.int8)}


def file_of(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_and_shape_comes_back(kind):
    for shape in ((), (0,), (3,), (2, 1, 3)):
        array = np.ones(shape, kind)
        arrays, metadata = decode(encode({"x": array}, {"who": "me"}))
        assert (arrays["x"].dtype, arrays["x"].shape, metadata) == (array.dtype, shape, {"who": "me"})
        assert np.array_equal(arrays["x"], array)


def test_arrays_in_another_order_of_bytes_or_memory_come_back():
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    assert np.array_equal(decode(encode({"x": array}))[0]["x"], array)


def test_the_bytes_are_those_of_the_published_format():
    content = encode({"x": np.array([1.5], np.float32)})
    size = struct.unpack_from("<Q", content)[0]
    assert json.loads(content[8 : 8 + size]) == {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    assert (size % 8, content[8 + size :]) == (0, struct.pack("<f", 1.5))


def test_sorted_weights_have_the_bytes_that_the_digests_of_release_0_1_were_computed_over():
    weights = {"layers.0.bias": np.zeros(1, np.float32), "layers.0.weight": np.ones((1, 2), np.float32)}
    header = (
        b'{"layers.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"layers.0.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]}}'
    )
    header += b" " * (-len(header) % 8)
    data = struct.pack("<3f", 0, 1, 1)
    assert encode(weights) == struct.pack("<Q", len(header)) + header + data


def test_a_file_of_release_0_1_in_its_order_of_arrays_is_read():
    header = {
        "__metadata__": {"seconds": "1.5", "key": "a"},
        "b": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [3, 7]},
    }
    arrays, metadata = decode(file_of(header, b"\1\2\3" + struct.pack("<f", 2.5)))
    assert (arrays["b"].tolist(), float(arrays["a"]), metadata) == ([1, 2, 3], 2.5, {"seconds": "1.5", "key": "a"})


def test_the_same_arrays_give_the_same_bytes():
    assert encode(ARRAYS, {"a": "b"}) == encode(dict(ARRAYS), {"a": "b"})


def test_a_type_that_the_format_lacks_is_refused():
    with pytest.raises(ValueError, match="cannot hold these arrays"):
        encode({"x": np.ones(1, np.complex128)})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        encode(ARRAYS)[:-1],
        encode(ARRAYS) + b"x",
        encode(ARRAYS)[:40],
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 4) + b"\xff\xfe{}",
        file_of([1, 2]),
        file_of({"__metadata__": {"a": 1}}),
        file_of({"__metadata__": "a"}),
        file_of({"x": 3}),
        file_of({"x": {"dtype": "F128", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        file_of({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, b"1234"),
        file_of({"x": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}, b"1234"),
        file_of({"x": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, b"1234"),
        file_of({"x": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, b"1234"),
        file_of({"x": {"dtype": "F32", "shape": [10**30], "data_offsets": [0, 4]}}, b"1234"),
        file_of({"x": {"dtype": "F32", "shape": [1], "data_offsets": ["0", 4]}}, b"1234"),
        file_of({"x": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        file_of({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345"),
        file_of({"x": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}, b"1234"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(content):
    with pytest.raises(ValueError, match=r"^damaged, or not a safetensors file") as error:
        decode(content)
    assert "\n" not in str(error.value)


def test_a_file_is_written_atomically_and_a_damaged_one_is_named_in_the_error(tmp_path):
    file = tmp_path / "new" / "x.safetensors"
    write(file, ARRAYS)
    assert np.array_equal(read(file)[0]["a"], ARRAYS["a"])
    assert [one.name for one in file.parent.iterdir()] == ["x.safetensors"]
    file.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"^x\.safetensors: damaged, or not a safetensors file"):
        read(file)
