"""What students are given to learn from; that they learn is tested with the training and the experiment."""

import numpy as np
import pytest

from experiments.compression.distillation.reports import (
    confusion_report,
    instructive,
    seeds_report,
    softened,
    targets_report,
)
from experiments.compression.distillation.students import (
    ALONE,
    TRAIN_IMAGES,
    Student,
    Taught,
    images_of,
    lessons,
    network_called,
    subset,
    with_label_noise,
)
from experiments.models.data.mnist import Dataset, Split, mnist
from experiments.models.sequential.network import lenet_300_100, mlp, parameter_count
from tests.experiments.models.small_network import trained


def test_a_network_is_found_by_name_by_hidden_widths_and_by_all_widths():
    assert network_called("lenet_5").name == "lenet_5"
    assert network_called("512-256") == network_called("784-512-256-10")
    assert network_called("512-256").name == "784-512-256-10"
    assert parameter_count(network_called("512-256")) == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10


def test_widths_of_a_named_network_are_that_network_so_that_its_checkpoint_is_found():
    assert network_called("784-128-10") == network_called("128") == mlp()
    assert network_called("300-100") == lenet_300_100()


@pytest.mark.parametrize("text", ["", "resnet", "128-", "-1", "0", "4096", "8-8-8-8-8", "12 8"])
def test_what_is_no_network_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"no network|at most") as refused:
        network_called(text)
    assert "\n" not in str(refused.value)


def test_the_training_images_are_as_many_as_the_limits_say():
    assert len(mnist().train) == TRAIN_IMAGES
    assert images_of(0.05) == 2750
    with pytest.raises(ValueError, match=r"0\.001 leaves 55 of 55,000 training images, .* give at least 0\.00233"):
        images_of(0.001)
    assert images_of(0.00233) == 128


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
def given():
    whole = mnist()
    data = Dataset(whole.train.first(2000), whole.validation.first(100), whole.test.first(100), whole.checksum)
    return data, lessons(trained(), mlp(), data, range(3), steps=20, fraction=0.2, noise=0.25, shift=1)


def test_every_seed_has_images_and_wrong_labels_of_its_own(given):
    data, made = given
    assert [lesson.seed for lesson in made] == [lesson.settings.seed for lesson in made] == [0, 1, 2]
    for lesson in made:
        own = subset(2000, 0.2, lesson.seed)
        assert np.array_equal(lesson.data.train.images, data.train.images[own])
        assert (lesson.data.train.labels != data.train.labels[own]).sum() == 100
        assert lesson.data.validation is data.validation


def test_the_table_holds_the_teachers_logits_of_just_these_images(given):
    network, weights = trained()
    del network
    for lesson in given[1]:
        assert lesson.table.shape == (9, 400, 10)
        # shift (0, 0) is the middle one
        x = lesson.data.train.images
        for number in range(3):
            x = x @ weights[f"layers.{number}.weight"].T + weights[f"layers.{number}.bias"]
            x = np.maximum(x, 0) if number < 2 else x
        assert np.allclose(lesson.table[4], x, atol=0.05)  # kept as float16


def test_steps_are_rounded_to_whole_passes_and_at_least_one(given):
    data, made = given
    assert made[0].settings.epochs == 7  # 3 batches of 128 in 400 images
    assert made[0].steps == 21
    [single] = lessons(trained(), mlp(), data, [0], steps=1)
    assert single.steps == 2000 // 128


def test_images_that_fill_no_batch_are_refused(given):
    with pytest.raises(ValueError, match="leaves 100 of 2,000 training images"):
        lessons(trained(), mlp(), given[0], [0], steps=20, fraction=0.05)


def taught(name, *said):
    labels = np.array([0, 1, 2, 3])
    curve = [(1, 0.2), (2, 0.4)]
    return Taught(name, ALONE, [Student(seed, {}, curve) for seed in range(len(said))], np.array(said), labels)


def test_gains_are_paired_seed_by_seed():
    alone, better = taught("alone", [0, 1, 2, 9], [0, 9, 9, 9]), taught("better", [0, 1, 2, 3], [0, 1, 9, 9])
    assert better.gains(alone) == [0.25, 0.25]
    assert [one["gain"] for one in seeds_report(better, alone)] == [0.25, 0.25]
    assert [one["gain"] for one in seeds_report(alone, alone)] == [None, None]
    assert alone.validation_accuracy == pytest.approx(0.4)


def test_confusions_are_counted_over_all_seeds():
    counts = {(one["label"], one["said"]): one["count"] for one in confusion_report(taught("a", [0, 1, 2, 9], [1] * 4))}
    assert len(counts) == 100
    assert counts[3, 9] == 1
    assert counts[1, 1] == 2
    assert counts[0, 0] == counts[0, 1] == 1
    assert sum(counts.values()) == 8


def test_softening_keeps_the_order_and_evens_out():
    logits = np.array([10.0, 5.0, 0.0])
    assert softened(logits, 1.0) == pytest.approx(np.exp([0, -5, -10]) / np.exp([0, -5, -10]).sum())
    assert softened(logits, 5.0) == pytest.approx(softened(logits / 5, 1.0))
    assert softened(np.array([1e4, 0.0]), 1.0).tolist() == [1.0, 0.0]


def test_instructive_images_are_right_with_some_doubt_and_of_different_classes():
    logits = np.array([[2.0, 0.2, 0], [0, 2, 1.9], [3, 2.9, 0], [0, 3, 0], [0, 0, 9]])
    labels = np.array([0, 2, 0, 1, 2])  # the second image is classified wrongly; the first is nearest to 80 %
    assert instructive(logits, labels, 3) == [0, 3, 4]
    assert instructive(logits, labels, 1) == [0]
    report = targets_report(logits, labels, [2], [1.0, 4.0, 1.0])
    assert [(one["temperature"], one["said"]) for one in report] == [(t, s) for t in (1.0, 4.0) for s in range(3)]
    assert sum(one["probability"] for one in report[:3]) == pytest.approx(1)
