import numpy as np
import pytest

from experiments.models.data.mnist import Split
from experiments.models.sequential.forward import forward_numpy, initial_weights
from experiments.models.sequential.network import mlp
from experiments.models.training.feeding import Feeder, Teacher, shifted_views, teacher_logits
from experiments.models.training.settings import Settings

IMAGES = np.random.default_rng(0).random((10, 16), np.float32)
SPLIT = Split(IMAGES, np.arange(10))


def batches(settings, number=0, most=2, teacher=None):
    return list(Feeder(SPLIT, settings, teacher).epoch(number, most))


def test_an_epoch_shows_every_image_at_most_once_in_full_batches():
    chunks = batches(Settings(batch=3, shift=0), most=2)
    assert [chunk.images.shape for chunk in chunks] == [(2, 3, 16), (1, 3, 16)]
    labels = np.concatenate([chunk.labels.ravel() for chunk in chunks])
    images = np.concatenate([chunk.images.reshape(-1, 16) for chunk in chunks])
    assert len(set(labels)) == 9
    assert np.array_equal(images, IMAGES[labels])


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again, later, other = (
        batches(Settings(batch=5, seed=seed), number)[0] for seed, number in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.labels, later.labels)
    assert not np.array_equal(first.labels, other.labels)


def test_how_batches_are_cut_into_chunks_changes_nothing():
    settings = Settings(batch=2)
    whole, pieces = batches(settings, most=5), batches(settings, most=2)
    assert np.array_equal(whole[0].images, np.concatenate([piece.images for piece in pieces]))


def test_windows_hold_each_image_moved_by_every_shift():
    moved = shifted_views(IMAGES, 1)
    assert moved.shape == (10, 3, 3, 4, 4)
    image = IMAGES[0].reshape(4, 4)
    assert np.array_equal(moved[0, 1, 1], image)
    assert np.array_equal(moved[0, 2, 1], np.vstack([image[1:], np.zeros((1, 4))]))
    assert np.array_equal(moved[0, 1, 0], np.hstack([np.zeros((4, 1)), image[:, :-1]]))


def test_all_shifts_are_sampled():
    ones = Split(np.ones((500, 9), np.float32), np.zeros(500, int))
    images = next(Feeder(ones, Settings(batch=500)).epoch(0, 1)).images.reshape(-1, 9)
    assert len(np.unique(images, axis=0)) == 9


def test_images_that_are_no_squares_cannot_be_shifted():
    with pytest.raises(ValueError, match="15 pixels are not square"):
        shifted_views(IMAGES[:, :15], 1)
    assert shifted_views(IMAGES[:, :15], 0).shape == (10, 1, 1, 1, 15)


def test_the_teachers_logits_belong_to_the_shifted_images():
    network = mlp(16, 4, 3)
    weights, settings = initial_weights(network, 0), Settings(batch=5)
    table = teacher_logits(network, weights, IMAGES, 1)
    assert (table.shape, table.dtype) == ((9, 10, 3), np.float16)
    for chunk in batches(settings, teacher=Teacher(table, 2.0, 0.5)):
        wanted = forward_numpy(network, weights, chunk.images.reshape(-1, 16))
        assert np.allclose(chunk.logits.reshape(-1, 3), wanted, atol=5e-3)


def test_without_a_teacher_there_are_no_logits():
    assert batches(Settings(batch=5))[0].logits is None


def test_a_table_for_other_images_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 10, 3\) for 9 shifts of 10 images"):
        Feeder(SPLIT, Settings(batch=5), Teacher(np.zeros((1, 10, 3)), 1.0, 0.5))


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="10 training images do not fill one batch of 11"):
        Feeder(SPLIT, Settings(batch=11))


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"rate": 0}, {"batch": 0}, {"shift": -1}, {"seed": -1}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="settings that cannot train"):
        Settings(**wrong)
