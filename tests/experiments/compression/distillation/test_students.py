import pytest

from tests.experiments.compression.distillation.made_runs import run_records


def test_gains_are_paired_seed_by_seed():
    alone, better = run_records("alone", [0, 1, 2, 9], [0, 9, 9, 9]), run_records("better", [0, 1, 2, 3], [0, 1, 9, 9])
    assert better.gains(alone) == [0.25, 0.25]
    assert alone.validation_accuracy == pytest.approx(0.4)
