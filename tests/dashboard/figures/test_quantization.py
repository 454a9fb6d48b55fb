"""The figures of quantization."""

import pytest

from dashboard.figures import quantization
from tests.dashboard.frames_of import details_of, rows_of, titles


def quantized(variant, scheme, bits, accuracy, size, batch=1, speedup=None):
    interval = {"speedup_lo": speedup - 0.1, "speedup_hi": speedup + 0.1} if speedup else {}
    return {
        "variant": variant,
        "scheme": scheme,
        "weight_bits": bits,
        "batch": batch,
        "granularity": "per_channel",
        "accuracy": accuracy,
        "accuracy_lo": accuracy - 0.01,
        "accuracy_hi": accuracy + 0.01,
        "size_bytes": size,
        "latency_ms": 2.0,
        "latency_lo_ms": 1.0,
        "latency_hi_ms": 3.0,
        "speedup": speedup,
        **interval,
    }


ROWS = [
    quantized("float32", "float32", 32, 0.98, 400_000),
    quantized("int8 static", "static", 8, 0.97, 100_000, speedup=1.5),
    quantized("int2 static", "static", 2, 0.25, 25_000, speedup=1.4),
    quantized("int8 static", "static", 8, 0.97, 100_000, batch=32, speedup=0.8),
]


def test_accuracy_is_drawn_against_the_bytes_of_the_file_with_its_interval():
    [panel, *_] = quantization.panels(rows_of("quantization", ROWS), details_of("quantization"))
    assert [trace.name for trace in panel.figure.data] == ["float32", "static"]
    assert panel.figure.data[1].x == (25_000, 100_000)
    assert panel.figure.data[1].y == pytest.approx((25.0, 97.0))
    assert panel.figure.data[1].error_y.array == pytest.approx((1.0, 1.0))
    assert panel.figure.layout.xaxis.title.text.endswith("[bytes]")
    assert panel.figure.layout.yaxis.title.text.endswith("[%]")


def test_bits_and_batches_are_drawn_only_where_there_are_several():
    assert titles(quantization.panels(rows_of("quantization", ROWS), details_of("quantization"))) == [
        "Accuracy against size",
        "Accuracy against bits",
        "Latency",
    ]
    assert titles(quantization.panels(rows_of("quantization", ROWS[:2]), details_of("quantization"))) == [
        "Accuracy against size"
    ]


def test_a_network_without_a_test_set_has_no_figure_of_accuracy():
    untested = [one | {"accuracy": None, "accuracy_lo": None, "accuracy_hi": None} for one in ROWS[:2]]
    assert quantization.panels(rows_of("quantization", untested), details_of("quantization")) == []


def test_the_speedup_of_one_batch_has_a_bar_and_an_interval_for_each_variant():
    [panel] = quantization.point_panels(rows_of("quantization", ROWS[:3]), details_of("quantization"))
    [bars] = panel.figure.data
    assert bars.y == ("int2 static", "int8 static")
    assert bars.error_x.array == pytest.approx((0.1, 0.1))


def test_the_ranges_of_all_observers_are_drawn_over_the_values():
    same = {"layer": "layers.0", "tensor": "activation"}
    bins = [{**same, "bin_lo": low, "bin_hi": low + 1.0, "count": 10} for low in (0.0, 1.0)]
    chosen = [{**same, "observer": name, "hi": high, "clipped": 0.01} for name, high in (("minmax", 2.0), ("mse", 1.5))]
    panels = quantization.panels(
        rows_of("quantization", ROWS), details_of("quantization", histograms=bins, calibration=chosen)
    )
    figure = panels[-1].figure
    assert panels[-1].title == "Calibration: activations"
    assert [trace.name for trace in figure.data] == ["values", "minmax: upper end", "mse: upper end"]
    assert figure.data[2].x == (1.5, 1.5)


def test_the_learning_curve_is_drawn_where_there_is_one():
    curve = [{"epoch": 1, "train_loss": 0.5, "validation_accuracy": 0.9, "learning_rate": 0.001}]
    panel = quantization.panels(rows_of("quantization", ROWS), details_of("quantization", learning=curve))[-1]
    assert panel.title == "Learning curve"
    assert panel.figure.data[0].y == pytest.approx((90.0,))


def test_no_rows_give_no_figures():
    assert quantization.panels(rows_of("quantization", []), details_of("quantization")) == []
    assert quantization.point_panels(rows_of("quantization", []), details_of("quantization")) == []
