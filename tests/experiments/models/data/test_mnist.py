import subprocess
import sys
import zlib

import numpy as np
import pytest

from experiments.models.data.mnist import FILE, SHA256, DamagedData, mnist, read

CHOSEN = 4264344152  # CRC of their labels


@pytest.mark.parametrize(("name", "count"), [("train", 55_000), ("validation", 5_000), ("test", 10_000)])
def test_a_split_has_its_images_between_0_and_1_and_a_label_each(name, count):
    split = getattr(mnist(), name)
    assert (split.images.shape, split.labels.shape, len(split)) == ((count, 784), (count,), count)
    assert (split.images.dtype, split.labels.dtype) == (np.float32, np.int64)
    assert (split.images[:1000].min(), split.images[:1000].max()) == (0, 1)
    assert set(split.labels) == set(range(10))


def test_the_validation_images_are_always_the_same():
    assert zlib.crc32(mnist().validation.labels.tobytes()) == CHOSEN


def test_training_and_validation_images_are_the_original_training_set():
    with np.load(FILE, allow_pickle=False) as arrays:
        original = np.bincount(arrays["train_labels"])
        pixels = arrays["train_images"].sum(dtype=np.int64)
        assert np.array_equal(mnist().test.labels, arrays["test_labels"])
    data = mnist()
    assert np.array_equal(np.bincount(data.train.labels) + np.bincount(data.validation.labels), original)
    seen = sum(split.images.sum(dtype=np.float64) for split in (data.train, data.validation)) * 255
    assert seen == pytest.approx(pixels, rel=1e-6)


def test_nobody_can_change_the_shared_images():
    with pytest.raises(ValueError, match="read-only"):
        mnist().test.images[0] = 1


def test_the_first_images_are_a_smaller_split():
    few = mnist().validation.first(7)
    assert len(few) == len(few.images) == 7


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_file_never_gives_data(tmp_path, damage):
    content = bytearray(FILE.read_bytes())
    content[5_000_000] ^= 1
    kept = {"flip": content, "cut": content[:1000], "empty": b""}[damage]
    file = tmp_path / "mnist.npz"
    file.write_bytes(kept)
    with pytest.raises(DamagedData) as error:
        read(file, SHA256)
    assert str(error.value).startswith("mnist.npz: damaged")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DamagedData, match=r"^mnist\.npz: cannot be read \(No such file"):
        read(tmp_path / "mnist.npz", SHA256)


def test_data_networks_and_checkpoints_need_no_tinygrad():
    look = "import sys, experiments.models.training.checkpoints as c; c.mnist(); assert 'tinygrad' not in sys.modules"
    subprocess.run([sys.executable, "-c", look], check=True)
