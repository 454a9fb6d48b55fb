"""The front under noise: who is on it, who is told to be off it, and how often that is a false alarm."""

import numpy as np
import pytest

from experiments.bench.statistics.pareto import Objectives, front, resample

STUDIES, IMAGES, BLOCKS = 1000, 2000, 12


def study(accuracies, latencies_ms, sizes, rng=None, noise=0.02, blocks=BLOCKS, shared=False):
    """A simulated study; `shared` variants answer alike, the others get their wrong images independently."""
    rng = rng or np.random.default_rng(0)
    draws = rng.random((1 if shared else len(accuracies), IMAGES))
    correct = np.broadcast_to(draws, (len(accuracies), IMAGES)) < np.array(accuracies)[:, None]
    drift = rng.normal(0, 5 * noise, blocks)
    tail = rng.exponential(5 * noise, (len(accuracies), blocks)) * (rng.random((len(accuracies), blocks)) < 0.08)
    logs = np.log(np.array(latencies_ms) / 1e3)[:, None] + drift + rng.normal(0, noise, tail.shape) + tail
    return Objectives(correct, np.exp(logs), np.array(sizes))


def places(one, resamples=1000):
    return front(one, resample(one, resamples))


@pytest.mark.parametrize("shared", [True, False], ids=["the same model", "another model"])
def test_of_two_variants_of_equal_truth_neither_is_called_off_in_95_percent_of_studies(shared):
    rng = np.random.default_rng(1)
    both = 0
    for _ in range(STUDIES):
        found = places(study([0.98, 0.98], [1, 1], [1000, 1000], rng, shared=shared), resamples=200)
        both += all(place.dominated_by is None for place in found)
    assert both / STUDIES >= 0.95


def test_a_truly_dominated_variant_is_called_off_where_the_noise_allows():
    rng = np.random.default_rng(2)
    found = [places(study([0.98, 0.94], [1.0, 1.2], [1000, 1000], rng), resamples=200) for _ in range(50)]
    assert all(better.dominated_by is None and worse.dominated_by == 0 for better, worse in found)
    loud = [places(study([0.98, 0.979], [1.0, 1.02], [1000, 1000], rng, noise=0.2), resamples=200) for _ in range(50)]
    assert sum(worse.dominated_by is not None for _, worse in loud) <= 5


def test_equal_variants_tie_and_do_not_dominate():
    one = study([0.98], [1.0], [1000])
    same = Objectives(*(np.repeat(part, 3, axis=0) for part in (one.correct, one.seconds, one.size_bytes)))
    assert [(place.p_front, place.dominated_by) for place in places(same)] == [(1.0, None)] * 3


def test_each_best_in_one_objective_is_on_the_front():
    found = places(study([0.99, 0.90, 0.95, 0.89], [3, 1, 3, 3.5], [3000, 3000, 1000, 3000]))
    assert [round(place.p_front, 1) for place in found] == [1, 1, 1, 0]
    assert [place.dominated_by for place in found][:3] == [None] * 3
    assert found[3].dominated_by in (0, 1, 2)


def test_a_variant_that_two_others_dominate_by_turns_stays_the_front():
    """Dominated in every resample, but by no single other in 95% of them: nobody can say by which."""
    rng = np.random.default_rng(3)
    one = study([0.98, 0.98, 0.98], [1, 1, 2], [1000, 1000, 1000], rng, noise=0.001, shared=True)
    correct = one.correct.copy()
    contested = np.flatnonzero(correct[0])[:40]
    correct[0, contested[:20]] = correct[1, contested[20:]] = False  # equal truth, told by nothing
    correct[2, contested] = np.arange(40) % 2 == 0
    found = places(Objectives(correct, one.seconds, one.size_bytes))
    assert found[2].p_front < 0.3
    assert found[2].dominated_by is None


def test_a_slow_block_touches_all_variants_alike():
    calm = study([0.98, 0.98], [1.0, 1.05], [1000, 1000], noise=0.002, shared=True)
    drift = Objectives(calm.correct, calm.seconds * np.linspace(1, 3, BLOCKS), calm.size_bytes)
    assert [place.dominated_by for place in places(drift)] == [None, 0]


def test_the_same_seed_gives_the_same_front():
    one = study([0.97, 0.98, 0.975], [1, 1.01, 1.02], [1000, 1000, 990])
    assert places(one) == places(one)


def test_resampled_latencies_are_those_of_the_study():
    one = study([0.98, 0.98, 0.9], [1, 2, 10], [1, 2, 3], blocks=40)
    drawn = resample(one)
    assert np.median(np.exp(drawn.log_latency), axis=1) * 1e3 == pytest.approx([1, 2, 10], rel=0.05)
    assert drawn.accuracy.mean(axis=1) == pytest.approx(one.correct.mean(axis=1), abs=1e-3)
    assert drawn.accuracy[2].std() == pytest.approx(np.sqrt(0.9 * 0.1 / IMAGES), rel=0.1)
