"""Main effects and interactions, on responses whose effects are known."""

import itertools

import numpy as np
import pytest

from experiments.bench.statistics.effects import effects

SETTINGS = [
    {"execution": execution, "pruning": pruning, "bits": bits}
    for execution, pruning, bits in itertools.product(("eager", "jit"), ("none", "half", "most"), ("32", "8"))
]
JIT, HALF, MOST, EIGHT, JIT_EIGHT = -2.0, 0.1, 0.4, -0.5, 0.3


def truth(one):
    jit, eight = one["execution"] == "jit", one["bits"] == "8"
    pruned = {"none": 0.0, "half": HALF, "most": MOST}[one["pruning"]]
    return 5 + JIT * jit + pruned + EIGHT * eight + JIT_EIGHT * (jit and eight)


def by_name(settings, noise=0.0):
    rng = np.random.default_rng(0)
    response = np.array([truth(one) for one in settings])[:, None] + rng.normal(0, noise, (len(settings), 500))
    return {(one.factor, one.level, one.with_factor, one.with_level): one.of(response) for one in effects(settings)}


def test_effects_are_those_that_were_put_in():
    found = by_name(SETTINGS)
    assert found["pruning", "half", None, None] == pytest.approx((HALF, HALF, HALF))
    assert found["pruning", "most", None, None][0] == pytest.approx(MOST)
    assert found["execution", "jit", None, None][0] == pytest.approx(JIT + JIT_EIGHT / 2)  # averaged over both bits
    assert found["execution", "jit", "bits", "8"][0] == pytest.approx(JIT_EIGHT)
    assert found["execution", "jit", "pruning", "most"][0] == pytest.approx(0)
    assert len(found) == 4 + 2 + 1 + 2


def test_the_interval_is_that_of_the_noise():
    median, lo, hi = by_name(SETTINGS, noise=0.1)["execution", "jit", None, None]
    assert lo < median < hi
    assert (hi - lo) / 2 == pytest.approx(1.96 * 0.1 * np.sqrt(1 / 6 + 1 / 6), rel=0.15)


def test_a_variant_that_failed_takes_its_settings_along_and_no_more():
    found = by_name([one for one in SETTINGS if one != {"execution": "jit", "pruning": "most", "bits": "8"}])
    assert found["pruning", "half", None, None][0] == pytest.approx(HALF)
    assert found["pruning", "most", None, None][0] == pytest.approx(MOST)
    assert found["execution", "jit", "bits", "8"][0] == pytest.approx(JIT_EIGHT)


def test_a_factor_of_one_level_and_a_pair_that_never_met_have_no_effect():
    one_factor = [one for one in SETTINGS if one["pruning"] == "none" and one["bits"] == "32"]
    assert list(by_name(one_factor)) == [("execution", "jit", None, None)]
    dense = [one for one in SETTINGS if one["pruning"] == "none"]
    apart = [one for one in dense if (one["execution"], one["bits"]) != ("jit", "8")]
    assert list(by_name(apart)) == [("execution", "jit", None, None), ("bits", "8", None, None)]
