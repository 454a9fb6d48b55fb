import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compression.quantization.answer import ACCEPTED_DROP
from experiments.compression.quantization.experiment import QuantizationSpec, quantization
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.runs import store


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run("quantization", preset="quick", device="CPU", batch=[1, 3], time_limit_s=150)


@pytest.fixture(scope="module")
def details(rows, shared_database):
    return {name: experiments.detail(rows["run_id"].iloc[0], name) for name in quantization.details}


def of(rows, variant):
    return rows[rows["variant"] == variant].iloc[0]


def test_every_variant_is_measured_at_every_batch_with_float32_as_the_baseline(rows):
    assert list(zip(rows["batch"], rows["variant"], strict=True)) == [
        (batch, variant) for batch in (1, 3) for variant in ("float32", "int8 static")
    ]
    assert set(rows["baseline"]) == {"float32"}
    assert set(rows["verdict"]) <= {"baseline", "faster", "slower", "cannot tell"}


def test_eight_bits_keep_the_accuracy_in_a_quarter_of_the_bytes(rows):
    float32, int8 = of(rows, "float32"), of(rows, "int8 static")
    assert float32["accuracy"] >= 0.975
    assert abs(float32["accuracy"] - int8["accuracy"]) <= ACCEPTED_DROP
    assert int8["agreement"] >= 0.99
    assert int8["compression"] >= 3.9
    assert int8["size_bytes"] * int8["compression"] == pytest.approx(4 * int8["parameters"])


def test_the_interval_of_the_accuracy_is_that_of_ten_thousand_images(rows):
    row = of(rows, "float32")
    assert row["accuracy_lo"] < row["accuracy"] < row["accuracy_hi"]
    assert 0.002 < row["accuracy_hi"] - row["accuracy_lo"] < 0.01


def test_the_compiled_network_computes_what_the_reference_computes(rows):
    assert (rows["max_abs_error"] < 1e-3).all()


def test_the_stored_file_restores_the_accuracy_that_is_shown(rows, shared_database):
    files = store.read_artifacts(store.engine(shared_database), rows["run_id"].iloc[0])
    assert sorted(files) == ["mlp float32.tinylab", "mlp int8 static.tinylab"]
    test = mnist().test
    for name, content in files.items():
        row = of(rows, name.removeprefix("mlp ").removesuffix(".tinylab"))
        assert len(content) == row["size_bytes"]
        assert accuracy_numpy(unpack(content), test.images, test.labels) == pytest.approx(row["accuracy"])


def test_the_layers_have_their_scales_and_their_noise(details):
    layers = details["layers"]
    assert set(layers["layer"]) == {"layers.0", "layers.1"}
    assert set(layers["tensor"]) == {"weight", "activation"}
    weights = layers[layers["tensor"] == "weight"]
    assert weights["scales"].tolist() == [128, 10]
    assert (weights["sqnr_db"] > 30).all()


def test_every_observer_is_compared_on_the_same_histograms(details):
    calibration = details["calibration"]
    for _, same in calibration.groupby(["layer", "tensor"]):
        assert sorted(same["observer"]) == ["entropy", "minmax", "mse", "percentile"]
        assert same.loc[same["chosen"], "observer"].tolist() == ["minmax"]
    seen = details["histograms"].groupby(["layer", "tensor"])["count"].sum()
    assert seen["layers.0", "activation"] == 512 * 784
    assert seen["layers.1", "weight"] == 128 * 10


def test_the_learning_curve_of_the_checkpoint_is_a_detail(details):
    assert details["learning"]["validation_accuracy"].iloc[-1] > 0.97


def test_every_variant_has_its_kernels(details):
    counted = details["kernels"].groupby(["batch", "variant"]).size()
    assert (counted >= 2).all()
    assert set(details["kernels"]["variant"]) == {"float32", "int8 static"}


def test_options_that_a_scheme_does_not_use_add_no_variant():
    spec = QuantizationSpec(
        scheme=["float16", "weight_only", "static"], activation_bits=[8, 4], observer=["minmax", "mse"]
    )
    assert list(spec.variants) == [
        "float32",
        "float16",
        "int8 weight only",
        "int8 static a8 minmax",
        "int8 static a8 mse",
        "int8 static a4 minmax",
        "int8 static a4 mse",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"calibration_images": "0"}, "calibration_images: 0 is not allowed; give an integer from 1 to 5000"),
        ({"weight_bits": "1"}, "weight_bits: 1 is not allowed; give integers from 2 to 8"),
        ({"activation_bits": "1"}, "activation_bits: 1 is not allowed; give integers from 2 to 8"),
        ({"network": "resnet"}, "network: resnet is not allowed; give one of mlp"),
        ({"batch": "0"}, "batch: 0 is not allowed; give integers from 1 to 1024"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(QuantizationSpec, given)
    assert str(refused.value).startswith(message)
