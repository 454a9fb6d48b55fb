import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-m", "tests.experiments.compression.record.codebooks_program"]
    done = subprocess.run(command, env=child_environment("CPU"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_forward_pass_uses_the_nearest_number_and_leaves_zeros(seen):
    value, weight, numbers = (np.array(seen[name]) for name in ("value", "weight", "numbers"))
    assert np.array_equal(value, seen["applied"])
    nearest = numbers[np.abs(weight[..., None] - numbers).argmin(axis=2)]
    assert np.array_equal(value, np.where(weight != 0, nearest, 0))
    assert np.array_equal(numbers, numbers.astype(np.float16))


def test_each_number_is_the_mean_of_the_weights_that_use_it(seen):
    value, weight = np.array(seen["value"]), np.array(seen["weight"])
    for number in seen["numbers"]:
        assert number == pytest.approx(weight[value == number].mean(), rel=1e-3)


def test_the_gradient_goes_straight_to_the_weights(seen):
    assert seen["gradient"] == [3.0]


def test_codebooks_are_off_until_they_are_fitted(seen):
    assert seen["off"] and seen["off again"]
    assert seen["moved"] > 1.3  # the weights doubled, and one step of k-means follows
