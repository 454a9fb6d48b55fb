"""The figures of layer sensitivity."""

import pytest

from dashboard.figures import sensitivity
from tests.dashboard.frames_of import rows_of


def alone(layer, bits, accuracy, stored):
    interval = {"accuracy_lo": accuracy - 0.01, "accuracy_hi": accuracy + 0.01}
    same = {"variant": f"{layer} int{bits}", "layer": layer, "bits": str(bits)}
    return {**same, "accuracy": accuracy, **interval, "weight_bytes": stored}


def test_each_layer_has_its_line_and_the_mixture_its_mark():
    mixture = {"variant": "greedy mixture", "bits": "8 3", "accuracy": 0.95, "weight_bytes": 40_000}
    made = [alone("layers.0", 8, 0.98, 90_000), alone("layers.0", 2, 0.4, 70_000), alone("layers.1", 8, 0.98, 99_000)]
    first, second = sensitivity.panels(rows_of("sensitivity", [*made, mixture]), {})
    assert [trace.name for trace in first.figure.data] == ["layers.0", "layers.1"]
    assert first.figure.data[0].x == (2, 8)
    assert first.figure.data[0].y == pytest.approx((40.0, 98.0))
    assert second.figure.data[-1].name == "greedy mixed precision: 8 3 bits"
    assert second.figure.data[-1].x == (40_000,)


def test_no_rows_give_no_figures():
    assert sensitivity.panels(rows_of("sensitivity", []), {}) == []
