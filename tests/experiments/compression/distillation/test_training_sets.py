"""What students are trained on; that they learn is tested with the experiment."""

import numpy as np
import pytest

from experiments.compression.distillation.training_sets import (
    subset,
    training_sets,
    with_label_noise,
)
from experiments.models.data.mnist import Dataset, Split, mnist
from experiments.models.sequential.network import mlp
from tests.experiments.models.small_network import trained


def test_a_subset_depends_on_the_seed_and_grows_with_the_fraction():
    small, large = subset(1000, 0.1, 3), subset(1000, 0.3, 3)
    assert (len(small), len(large)) == (100, 300)
    assert set(small) < set(large)
    assert set(small) != set(subset(1000, 0.1, 4))
    assert np.array_equal(subset(1000, 1.0, 3), np.arange(1000))


def test_exactly_the_share_of_labels_is_wrong_and_evenly_so():
    split = Split(np.zeros((9000, 1)), np.full(9000, 4))
    noisy = with_label_noise(split, 0.4, 0)
    wrong = noisy.labels[noisy.labels != 4]
    assert len(wrong) == 3600
    assert np.bincount(wrong, minlength=10)[[0, 1, 2, 3, 5, 6, 7, 8, 9]].min() > 320  # 400 expected, sd 19
    assert split.labels.tolist() == [4] * 9000
    assert np.array_equal(with_label_noise(split, 0.4, 0).labels, noisy.labels)
    assert np.array_equal(with_label_noise(split, 0.0, 0).labels, split.labels)


@pytest.fixture(scope="module")
def prepared():
    whole = mnist()
    data = Dataset(whole.train.first(2000), whole.validation.first(100), whole.test.first(100), whole.checksum)
    return data, training_sets(trained(), mlp(), data, range(3), steps=20, fraction=0.2, noise=0.25, shift=1)


def test_every_seed_has_its_images_and_wrong_labels(prepared):
    data, sets = prepared
    assert [one.seed for one in sets] == [one.settings.seed for one in sets] == [0, 1, 2]
    for one in sets:
        chosen = subset(2000, 0.2, one.seed)
        assert np.array_equal(one.data.train.images, data.train.images[chosen])
        assert (one.data.train.labels != data.train.labels[chosen]).sum() == 100
        assert one.data.validation is data.validation


def test_the_logits_are_the_teachers_for_exactly_these_images(prepared):
    _, weights = trained()
    for one in prepared[1]:
        assert one.logits.shape == (9, 400, 10)
        # shift (0, 0) is the middle one
        x = one.data.train.images
        for number in range(3):
            x = x @ weights[f"layers.{number}.weight"].T + weights[f"layers.{number}.bias"]
            x = np.maximum(x, 0) if number < 2 else x
        assert np.allclose(one.logits[4], x, atol=0.05)  # stored as float16


def test_steps_are_rounded_to_whole_epochs_and_at_least_one(prepared):
    data, sets = prepared
    assert sets[0].settings.epochs == 7  # 3 batches of 128 in 400 images
    assert sets[0].steps == 21
    [only] = training_sets(trained(), mlp(), data, [0], steps=1)
    assert only.steps == 2000 // 128


def test_images_that_fill_no_batch_are_refused(prepared):
    with pytest.raises(ValueError, match="leaves 100 of 2,000 training images"):
        training_sets(trained(), mlp(), prepared[0], [0], steps=20, fraction=0.05)
