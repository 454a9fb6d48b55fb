import numpy as np
import pytest

from experiments.compression.distillation.detail_records import (
    confusion_records,
    doubtful_digits,
    seed_records,
    soft_targets,
    target_records,
)
from tests.experiments.compression.distillation.made_runs import run_records


def test_records_of_seeds_have_the_gain_over_the_student_alone():
    alone, better = run_records("alone", [0, 1, 2, 9], [0, 9, 9, 9]), run_records("better", [0, 1, 2, 3], [0, 1, 9, 9])
    assert [one["gain"] for one in seed_records(better, alone)] == [0.25, 0.25]
    assert [one["gain"] for one in seed_records(alone, alone)] == [None, None]


def test_confusions_are_counted_over_all_seeds():
    counts = {
        (one["label"], one["said"]): one["count"] for one in confusion_records(run_records("a", [0, 1, 2, 9], [1] * 4))
    }
    assert len(counts) == 100
    assert counts[3, 9] == 1
    assert counts[1, 1] == 2
    assert counts[0, 0] == counts[0, 1] == 1
    assert sum(counts.values()) == 8


def test_soft_targets_keep_the_order_and_even_out():
    logits = np.array([10.0, 5.0, 0.0])
    assert soft_targets(logits, 1.0) == pytest.approx(np.exp([0, -5, -10]) / np.exp([0, -5, -10]).sum())
    assert soft_targets(logits, 5.0) == pytest.approx(soft_targets(logits / 5, 1.0))
    assert soft_targets(np.array([1e4, 0.0]), 1.0).tolist() == [1.0, 0.0]


def test_shown_digits_are_classified_correctly_with_some_doubt_and_of_different_classes():
    logits = np.array([[2.0, 0.2, 0], [0, 2, 1.9], [3, 2.9, 0], [0, 3, 0], [0, 0, 9]])
    labels = np.array([0, 2, 0, 1, 2])  # the second image is classified wrongly; the first is nearest to 80%
    assert doubtful_digits(logits, labels) == [0, 3, 4]
    report = target_records(logits, labels, [2], [1.0, 4.0, 1.0])
    assert [(one["temperature"], one["said"]) for one in report] == [(t, s) for t in (1.0, 4.0) for s in range(3)]
    assert sum(one["probability"] for one in report[:3]) == pytest.approx(1)
