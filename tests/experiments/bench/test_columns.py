import pytest

from experiments.bench.columns import COMMON, IDENTITY, RUN_ID, Column, check_record, resolve


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("latency_ms", "ms"),
        ("launch_us", "µs"),
        ("search_s", "s"),
        ("size_bytes", "bytes"),
        ("gflops", "GFLOP/s"),
        ("peak_gflops", "GFLOP/s"),
        ("gb_s", "GB/s"),  # no seconds
        ("copy_gb_s", "GB/s"),
        ("throughput_per_s", "1/s"),
        ("accuracy", ""),
        ("kernels", ""),
    ],
)
def test_the_unit_is_the_end_of_the_name(name, unit):
    assert Column(name, "number", "…").unit == unit


def test_a_given_unit_is_used():
    assert Column("age_s", "number", "…", unit="h").unit == "h"


@pytest.mark.parametrize(
    ("kind", "value", "accepted"),
    [
        ("integer", 3, True),
        ("integer", True, False),
        ("integer", 3.0, False),
        ("number", 3, True),
        ("number", 3.5, True),
        ("number", False, False),
        ("number", "3", False),
        ("text", "x", True),
        ("text", 3, False),
        ("boolean", True, True),
        ("boolean", 1, False),
    ],
)
def test_a_column_takes_its_kind_only(kind, value, accepted):
    assert Column("x", kind, "…").accepts(value) is accepted


@pytest.mark.parametrize("kind", ["text", "integer", "number", "boolean"])
def test_every_column_may_be_empty(kind):
    assert Column("x", kind, "…").accepts(None)


def test_a_column_that_was_not_declared_is_refused():
    with pytest.raises(ValueError, match="column 'latency' is not declared"):
        check_record({"latency_ms": 1.0, "latency": 1.0}, [COMMON["latency_ms"]])


def test_a_value_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"column 'kernels' has kind integer, got 2\.0"):
        check_record({"kernels": 2.0}, [COMMON["kernels"]])


def test_names_of_common_columns_become_columns():
    own = Column("model", "text", "…")
    assert resolve([own, "kernels"]) == (own, COMMON["kernels"])


def test_an_unknown_common_column_is_refused():
    with pytest.raises(KeyError, match="latency_minutes"):
        resolve(["latency_minutes"])


def test_columns_declared_twice_are_refused():
    with pytest.raises(ValueError, match="columns declared twice: gflops, kernels"):
        resolve(["kernels", "gflops", Column("kernels", "integer", "…"), "gflops"])


def test_an_identity_column_cannot_be_declared_again():
    device = Column("device", "text", "…")
    with pytest.raises(ValueError, match="device"):
        resolve([device])
    assert resolve([device], identity=(RUN_ID,)) == (device,)


def test_every_common_column_is_described_once():
    names = [*COMMON, *(column.name for column in IDENTITY)]
    assert len(names) == len(set(names))
    assert all(column.description for column in (*COMMON.values(), *IDENTITY))
