"""The figures of the record study."""

import pytest

from dashboard.figures import record
from experiments.registry import find
from experiments.runs import frames


def row(stage, seed, size, accuracy):
    interval = {
        f"{what}_{end}": accuracy + by
        for what in ("accuracy", "validation")
        for end, by in (("lo", -0.002), ("hi", 0.001))
    }
    return {
        "run_id": "r",
        "experiment": "record",
        "device": "CPU",
        "variant": stage,
        "network": "lenet_300_100",
        "seed": seed,
        "size_bytes": size,
        "compression": 1_066_440 / size,
        "accuracy": accuracy,
        "validation_accuracy": accuracy,
        **interval,
    }


ROWS = [row("base", 0, 1_066_440, 0.99), row("file", 0, 4_000, 0.98), row("file", 1, 4_100, 0.985)]


def frame(made):
    return frames.frame_of(made, (*frames.IDENTITY, *find("record").columns))


def test_errors_are_drawn_against_bytes_with_their_interval_beside_the_published_ones():
    test, validation = record.panels(frame(ROWS), {})
    named = {trace.name: trace for trace in test.figure.data if trace.name}
    assert list(named) == ["base", "file", "Deep Compression"]
    files = named["file"]
    assert files.mode == "markers"
    assert files.x == (4_000, 4_100)
    assert files.y == pytest.approx((2.0, 1.5))
    assert files.error_y.array == pytest.approx((0.2, 0.2))
    assert files.error_y.arrayminus == pytest.approx((0.1, 0.1))
    published = named["Deep Compression"]
    assert (published.x, published.y) == ((26_661,), (1.58,))
    assert "Deep Compression 40x at 1.58% (arXiv 1510.00149)" in test.caption
    assert published.text == ("40x",)
    [said] = [note.text for note in test.figure.layout.annotations]
    assert said == "<b>median: 263x smaller</b><br>4,050 bytes, 1.75%"
    assert validation.title == "Error on the validation images"
    for panel in (test, validation):
        assert panel.figure.layout.xaxis.title.text.endswith("[bytes]")
        assert panel.figure.layout.yaxis.title.text.endswith("[%]")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("accuracy", [1.0, None])
def test_an_error_that_a_logarithmic_axis_cannot_show_is_left_out(accuracy):
    whole = row("file", 1, 4_100, 1.0)
    whole |= {name: accuracy for name in whole if name.startswith(("accuracy", "validation"))}
    for rows in ([*ROWS, whole], [{**whole, "network": "own"}]):
        for panel in record.panels(frame(rows), {}):
            assert [trace.x for trace in panel.figure.data if trace.name == "base"] == [(1_066_440,)] * (len(rows) > 1)


def test_without_rows_there_is_no_figure():
    assert record.panels(frame([]), {}) == []
