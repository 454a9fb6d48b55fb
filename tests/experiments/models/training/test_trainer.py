"""Everything about training on one tiny network, in one child process: the compiler is what takes the time."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models.training import feeding, settings

pytestmark = pytest.mark.slow  # a dozen trainings


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    state = tmp_path_factory.mktemp("state") / "state.partial"
    command = [sys.executable, "-m", "tests.experiments.models.training.trainer_program", str(state)]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def alike(one, other):
    return all(np.allclose(one[name], other[name], atol=1e-4) for name in one)


@pytest.mark.slow
def test_training_learns(seen):
    assert seen["curve"][-1]["validation_accuracy"] > 0.9
    assert seen["curve"][-1]["train_loss"] < seen["curve"][0]["train_loss"] / 2


def chances(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def untaught(number, logits, labels):
    """The gradient of the cross entropy by the logits."""
    return (chances(logits) - np.eye(3)[labels]) / len(labels)


def test_a_step_is_adam_with_a_falling_rate(seen):
    assert seen["steps"][0][1] == 3 * 320 // 8
    follow(seen, seen["steps"], untaught)


@pytest.mark.parametrize(("number", "factor"), [(0, 3.0**2), (1, 1.0)])
def test_a_distilled_student_descends_the_divergence_from_its_teacher(seen, number, factor):
    def taught(step, logits, labels):
        soft = chances(logits / 3.0) - chances(np.array(seen["soft"][step]) / 3.0)
        return 0.3 * untaught(step, logits, labels) + 0.7 * factor * soft / 3.0 / len(labels)

    follow(seen, seen["taught"][number], taught)


def follow(seen, steps, error):
    """Takes the same steps in numpy; `error(step, logits, labels)` is the gradient of the loss by the logits."""
    weights = {name: np.array(one) for name, one in seen["start"].items()}
    first, second = ({name: np.zeros_like(one) for name, one in weights.items()} for _ in range(2))
    of = steps[0][1]
    for number, (images, labels) in enumerate(zip(*seen["batches"], strict=True)):
        gradients = by_hand(weights, np.array(images), partial(error, number, labels=np.array(labels)))
        for name, gradient in gradients.items():
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            moment, square = first[name] / (1 - 0.9 ** (number + 1)), second[name] / (1 - 0.999 ** (number + 1))
            weights[name] = weights[name] - 0.05 * (1 - number / of) * moment / (np.sqrt(square) + 1e-8)
        after = steps[number + 1][2]
        # where a gradient is all but zero, its sign is rounding
        assert all(np.mean(np.abs(after[name] - weights[name]) < 1e-4) > 0.9 for name in weights)


def by_hand(weights, images, error_of):
    hidden = np.maximum(images @ weights["layers.0.weight"].T + weights["layers.0.bias"], 0)
    logits = hidden @ weights["layers.1.weight"].T + weights["layers.1.bias"]
    error = error_of(logits)
    back = error @ weights["layers.1.weight"] * (hidden > 0)
    return {
        "layers.0.weight": back.T @ images,
        "layers.0.bias": back.sum(0),
        "layers.1.weight": error.T @ hidden,
        "layers.1.bias": error.sum(0),
    }


def test_the_same_seed_gives_the_same_weights(seen):
    assert seen["first"] == seen["again"]
    assert seen["first"] != seen["other seed"]


def test_the_step_is_compiled_once_for_all_trainings(seen):
    assert seen["same object"]
    assert seen["compiled once"]
    assert seen["teachers compiled once"]


def test_the_padding_stays_exactly_zero_and_is_cut_off(seen):
    assert seen["padded"] > 0
    assert seen["padding"] == 0
    assert seen["shapes"]["layers.0.weight"] == [6, 16]


@pytest.mark.parametrize("when", ["masked", "masked late"])
def test_a_masked_weight_is_exactly_zero_and_the_others_learn(seen, when):
    weight = np.array(seen[when]["layers.0.weight"])
    assert not weight[:, ::2].any()
    assert weight[:, 1::2].all()


def test_progress_gets_the_fraction_and_a_record_after_each_epoch(seen):
    fractions = [fraction for fraction, _, _ in seen["told"]]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    records = [record for _, _, record in seen["told"] if record]
    assert records == seen["curve"]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert records[-1]["learning_rate"] == 0
    assert seen["told"][0][1] == "epoch 1 of 3"


def test_steps_may_be_given_instead_of_epochs(seen):
    assert seen["counted"] == [[step, 50] for step in range(50)]
    assert [record["epoch"] for record in seen["cut"]] == [1, 2]
    assert seen["cut"][0]["learning_rate"] == pytest.approx(0.05 * (1 - 40 / 50))
    assert seen["cut"][-1]["learning_rate"] == 0
    assert seen["whole"] == seen["first"]


def test_an_interrupted_training_continues_as_if_it_had_not_been(seen):
    assert seen["state is left"]
    assert seen["resumed epochs"] == [["continued", 1], ["continued", 2], ["epoch 3 of 3", 3]]
    assert seen["resumed"] == seen["first"]
    assert seen["resumed curve"] == seen["curve"]
    assert seen["state is gone"]


def test_a_damaged_state_starts_the_training_again(seen):
    assert seen["damaged state"] == seen["first"]


def test_the_evaluation_can_be_replaced(seen):
    assert seen["judged"] == [0.25] * 3


def test_a_teacher_without_weight_changes_nothing(seen):
    assert alike(seen["alpha 0"], seen["first"])
    assert alike(seen["untaught"], seen["first"])


def test_a_student_follows_a_wrong_teacher(seen):
    assert seen["alpha 1"] < 0.2


def test_a_hook_replaces_weights_in_the_forward_pass(seen):
    assert seen["hooked"]["layers.1.weight"] == seen["start"]["layers.1.weight"]  # times 0: it gets no gradient
    assert seen["hooked"]["layers.1.bias"] != seen["start"]["layers.1.bias"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("own start", "weights of another network"),
        ("no such mask", "a mask for layers.9.bias, which mlp does not have"),
        ("batch", "this step was compiled for batch 8, not 4"),
        ("diverged", "training of mlp diverged in epoch 1 of 3; lower the learning rate"),
        ("no steps", "steps: 0 is not allowed; give 1 or more"),
        ("no teacher", "this step was compiled without a teacher"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(seen, what, message):
    assert message in seen[what]
    assert "\n" not in seen[what]


LOSSES = {("trainer", 1): [0.874203, 0.453942, 0.331026], ("teacher", 1): [7.264445, 1.058816]}


@pytest.mark.parametrize(
    ("part", "module", "name"), [("trainer", settings, "VERSION"), ("teacher", feeding, "TEACHER_VERSION")]
)
def test_the_output_of_a_version_does_not_change(seen, part, module, name):
    """With a tolerance: the order of float sums differs between compilers."""
    found = seen["losses"][part]
    assert LOSSES.get((part, getattr(module, name))) == pytest.approx(found, rel=1e-3), (
        f"the output of the {part} changed: raise {name} in {module.__name__}, and update this value to {found}"
    )
