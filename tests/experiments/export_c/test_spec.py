import pytest

from experiments.export_c.spec import ExportSpec


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({}, "int8"),
        ({"weight_bits": 4}, "int4 a8"),
        ({"weight_bits": 4, "activation_bits": 32}, "int4 weight only"),
        ({"weight_bits": 32, "activation_bits": 32}, "float32"),
    ],
)
def test_the_label_names_the_bits(given, label):
    assert ExportSpec(**given).label == label
