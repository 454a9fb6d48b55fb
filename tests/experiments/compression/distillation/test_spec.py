import pytest

from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compression.distillation.spec import TRAIN_IMAGES, DistillationSpec, images_of, network_by_name
from experiments.models.data.mnist import mnist
from experiments.models.sequential.network import lenet_300_100, mlp, parameter_count


def test_the_limits_count_the_training_images():
    assert len(mnist().train) == TRAIN_IMAGES
    assert images_of(0.05) == 2750
    with pytest.raises(ValueError, match=r"0\.001 leaves 55 of 55,000 training images, .* give at least 0\.00233"):
        images_of(0.001)
    assert images_of(0.00233) == 128


def test_a_network_is_found_by_name_by_hidden_widths_and_by_all_widths():
    assert network_by_name("lenet_5").name == "lenet_5"
    assert network_by_name("512-256") == network_by_name("784-512-256-10")
    assert network_by_name("512-256").name == "784-512-256-10"
    assert parameter_count(network_by_name("512-256")) == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10


def test_widths_of_a_named_network_are_that_network_so_that_its_checkpoint_is_found():
    assert network_by_name("784-128-10") == network_by_name("128") == mlp()
    assert network_by_name("300-100") == lenet_300_100()


@pytest.mark.parametrize("text", ["", "resnet", "128-", "-1", "0", "4096", "8-8-8-8-8", "12 8"])
def test_unknown_networks_are_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"not a network|at most") as refused:
        network_by_name(text)
    assert "\n" not in str(refused.value)


def test_every_temperature_is_combined_with_every_alpha():
    assert list(DistillationSpec(temperature=[2, 4], alpha=[0.5, 1], form=["unsquared"]).configs) == [
        "distilled T=2 α=0.5 without T²",
        "distilled T=2 α=1 without T²",
        "distilled T=4 α=0.5 without T²",
        "distilled T=4 α=1 without T²",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": "0"}, "temperature: 0 is not allowed; give numbers from 0.1 to 100"),
        ({"alpha": "1.2"}, "alpha: 1.2 is not allowed; give numbers from 0.01 to 1"),
        ({"alpha": "0"}, "alpha: 0 is not allowed; give numbers from 0.01 to 1"),
        ({"data_fraction": "0.001"}, "data_fraction: 0.001 leaves 55 of 55,000 training images, which do not fill"),
        ({"data_fraction": "2"}, "data_fraction: 2 is not allowed; give a number"),
        ({"label_noise": "1"}, "label_noise: 1 is not allowed; give a number from 0 to 0.9"),
        ({"seeds": "2"}, "seeds: 2 is not allowed; give an integer from 3 to 20"),
        ({"teacher": "resnet"}, "teacher: 'resnet' is not a network; give one of mlp, lenet_300_100, cnn, lenet_5, or"),
        ({"student": "128-0"}, "student: 128-0: at most 4 hidden layers of 1 to 2048 units are allowed"),
        ({"form": "hinton"}, "form: hinton is not allowed; give any of squared, unsquared"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(DistillationSpec, given)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_smaller_teacher_is_allowed_and_needs_the_memory_of_the_larger_student():
    spec = parse(DistillationSpec, {"teacher": "16", "student": "1024-1024"})
    assert spec.need().bytes == 20 * (784 * 1024 + 1024 * 1024 + 1024 * 10 + 2 * 1024 + 10)
