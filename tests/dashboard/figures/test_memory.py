import pytest

from dashboard import figures
from dashboard.figures import memory
from experiments.compiler.memory.experiment import memory as experiment
from experiments.runs import frames


def row(variant, fraction, columns=1000, **changes):
    interval = {} if variant == "copy" else {"fraction_of_copy_lo": fraction * 0.9, "fraction_of_copy_hi": fraction * 2}
    same = {"run_id": "r", "experiment": "memory", "device": "CPU", "rows": 64, "columns": columns}
    time = {"kernel_ms": 2.0, "kernel_lo_ms": 1.0, "kernel_hi_ms": 4.0, "gb_s": 20 * fraction}
    return {**same, "variant": variant, "fraction_of_copy": fraction, **time, **interval, **changes}


def product(variant, columns, gflops):
    return row(variant, 1.0, columns, gflops=gflops) | {f"fraction_of_copy{end}": None for end in ("", "_lo", "_hi")}


ROWS = [row("copy", 1.0), row("row sum", 0.5), row("transpose", 0.02)]
WIDE = [
    *ROWS,
    *({**one, "columns": 1024} for one in ROWS),
    *(product("matmul", 1000, 20.0), product("matmul", 1024, 5.0), product("matmul transposed", 1024, 25.0)),
]


def frame(made):
    return frames.frame_of(made, (*frames.IDENTITY, *experiment.columns))


def fractions(made=ROWS):
    (panel,) = memory.point_panels(frame(made), {})
    return panel


def test_the_module_is_found_by_the_experiments_name():
    assert figures.view_of("memory").point_panels is memory.point_panels


def test_one_shape_has_no_figure_across_shapes():
    assert memory.panels(frame(ROWS), {}) == []


def test_the_fractions_of_the_copy_stand_in_order_with_intervals_and_numbers():
    points = fractions().figure.data
    assert [(one.y, one.x) for one in points] == [
        (("transpose 0.02x",), (0.02,)),
        (("row sum 0.5x",), (0.5,)),
        (("copy 1x",), (1.0,)),
    ]
    assert [one.error_x.array[0] for one in points] == pytest.approx([0.02, 0.5, 0])
    assert [one.error_x.arrayminus[0] for one in points] == pytest.approx([0.002, 0.05, 0])


def test_the_copy_is_a_line_to_compare_with():
    assert any((shape.x0, shape.x1) == (1, 1) for shape in fractions().figure.layout.shapes)


def test_matmuls_have_no_fraction_and_without_fractions_there_is_no_figure():
    assert memory.point_panels(frame([product("matmul", 1000, 20.0)]), {}) == []


def test_several_widths_show_the_trap_of_bytes_and_of_operations():
    rates, products = memory.panels(frame(WIDE), {})
    assert {one.name for one in rates.figure.data} == {"copy", "row sum", "transpose"}
    assert {one.name: (one.x, one.y) for one in products.figure.data} == {
        "matmul": ((1000, 1024), (20, 5)),
        "matmul transposed": ((1024,), (25,)),
    }


def test_the_interval_of_a_rate_is_that_of_its_time():
    copy = memory.panels(frame(WIDE), {})[0].figure.data[0]
    assert copy.y == (20, 20)
    assert copy.error_y.array == pytest.approx([20, 20])
    assert copy.error_y.arrayminus == pytest.approx([10, 10])


def test_every_axis_has_its_quantity_and_every_figure_its_caption():
    for panel in [fractions(), *memory.panels(frame(WIDE), {})]:
        assert panel.figure.layout.xaxis.title.text
        assert panel.figure.layout.yaxis.title.text
        assert panel.caption.endswith(".")
