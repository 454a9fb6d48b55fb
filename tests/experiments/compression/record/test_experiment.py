"""The whole pipeline on a small network: every stage is measured on the model restored from its file."""

import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compression.record.experiment import RecordSpec, record
from experiments.compression.record.promote_best import BUNDLED
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.sequential.network import mlp, parameter_count
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.runs import examples, frames, store

STAGES = ["base", "shrunk", "pruned", "codebook", "file"]


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run("record", preset="quick", device="CPU", time_limit_s=170)


@pytest.fixture(scope="module")
def files(rows, shared_database):
    found = store.read_artifacts(store.engine(shared_database), rows["run_id"].iloc[0])
    return {name.split()[-1].removesuffix(".tinylab"): content for name, content in found.items()}


@pytest.fixture(scope="module")
def models(files):
    return {stage: unpack(content) for stage, content in files.items()}


def test_every_stage_is_smaller_than_the_one_before(rows):
    assert rows["variant"].tolist() == STAGES
    assert rows["size_bytes"].is_monotonic_decreasing
    assert rows["structure"].iloc[0] == "128-10"
    assert rows["structure"].iloc[1] == "32-10"
    assert rows["compression"].iloc[-1] > 100


def test_every_row_is_what_its_file_restores(rows, files, models):
    data = mnist()
    for _, row in rows.iterrows():
        content, model = files[row["variant"]], models[row["variant"]]
        assert len(content) == row["size_bytes"]
        assert row["compression"] == pytest.approx(4 * parameter_count(mlp()) / len(content))
        assert accuracy_numpy(model, data.test.images, data.test.labels) == pytest.approx(row["accuracy"])
        assert row["accuracy_lo"] < row["accuracy"] < row["accuracy_hi"]
        assert row["validation_lo"] < row["validation_accuracy"] < row["validation_hi"]


def test_the_sparsity_and_the_number_of_values_are_those_of_the_spec(models):
    pruned = models["pruned"]
    weights, nonzero = (
        sum(count(one.weight) for one in pruned.layers) for count in (lambda w: w.size, lambda w: (w != 0).sum())
    )
    assert nonzero == pytest.approx(0.1 * weights, rel=0.01)
    for layer in models["codebook"].layers:
        assert len(set(layer.weight[layer.weight != 0].tolist())) <= 8
        assert len(set(layer.bias[layer.bias != 0].tolist())) <= 16


def test_the_last_file_computes_what_the_codebook_stage_computes(models):
    images = mnist().test.first(500)
    first, last = models["codebook"], models["file"]
    assert accuracy_numpy(first, images.images, images.labels) == accuracy_numpy(last, images.images, images.labels)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"widths": "100"}, "widths: 100 is not allowed; lenet_300_100 has 2 hidden layers of 300, 100 units"),
        ({"widths": "301,50"}, "widths: 301,50 is not allowed; lenet_300_100 has 2 hidden layers"),
        ({"widths": "0,50"}, "widths: 0 is not allowed; give integers from 1 to 500"),
        ({"sparsity": "1"}, "sparsity: 1 is not allowed; give a number from 0 to 0.999"),
        ({"bits": "0"}, "bits: 0 is not allowed; give an integer from 1 to 6"),
        ({"temperature": "0"}, "temperature: 0 is not allowed"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(RecordSpec, given)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (record.preset("lenet_300_100"), "15 files of 3 seeds; about 11 minutes on 2 CPU cores"),
        (record.preset("lenet_5"), "15 files of 3 seeds; about 157 minutes on 2 CPU cores"),
        (RecordSpec(network="mlp", epochs=1, teacher="base"), "4 files of one seed; about 0."),
    ],
    ids=["lenet_300_100", "lenet_5", "mlp"],
)
def test_the_plan_estimates_the_minutes(given, message):
    assert record.plan(given).startswith(message)
    assert record.plan(given).endswith("set the time limit accordingly")


GOALS = {"lenet_300_100": (150, 0.0164), "lenet_5": (200, 0.0080)}  # times smaller, error on both splits


@pytest.mark.parametrize("network", GOALS)
def test_the_median_of_three_seeds_of_the_bundled_run_reaches_the_goal(url, network):
    """The bundled files are decoded and tested in test_promote_best."""
    db = store.engine(url)
    examples.load(db, examples.bundled("record"))
    runs = [run for run in store.list_runs(db) if run["spec"]["network"] == network]
    [(files, names)] = [(frames.rows_frame(db, run, record), store.artifact_names(db, run["id"])) for run in runs]
    last = files[files["variant"] == "file"]
    times, error = GOALS[network]
    assert last["seed"].nunique() == 3
    assert last["compression"].median() >= times
    assert max(1 - last["accuracy"].median(), 1 - last["validation_accuracy"].median()) <= error
    assert sorted(names.values()) == sorted(last["size_bytes"])
    bundled = (BUNDLED / f"{network}.tinylab").read_bytes()
    assert bundled in store.read_artifacts(db, runs[0]["id"]).values()
