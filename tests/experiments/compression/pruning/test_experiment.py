import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compression.pruning.experiment import PruningSpec, pruning
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.runs import store


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run("pruning", preset="quick", device="CPU", patterns=["2:4"], first_seed=5, time_limit_s=150)


@pytest.fixture(scope="module")
def details(rows, shared_database):
    return {name: experiments.detail(rows["run_id"].iloc[0], name) for name in pruning.details}


@pytest.fixture(scope="module")
def matrix(shared_database):
    return experiments.run("pruning", preset="course", device="CPU", sparsity=[0.9], budget_s=0.1)


def of(rows, variant):
    return rows[rows["variant"] == variant].iloc[0]


def test_each_method_is_timed_side_by_side_with_the_dense_network_in_each_form(rows):
    assert rows[["variant", "form"]].to_numpy().tolist() == [
        ["dense", "dense"],
        ["magnitude", "dense"],
        ["magnitude gather", "gather"],
        ["l2 units", "smaller"],
        ["2:4", "dense"],
        ["2:4 gather", "gather"],
    ]
    assert set(rows["baseline"]) == {"dense"}
    assert set(rows["verdict"]) <= {"baseline", "faster", "slower", "cannot tell"}


def test_the_dense_network_is_fine_tuned_as_long(rows, details):
    assert set(rows["fine_tune_steps"]) == {40}
    last = details["fine_tuning"].groupby("variant")["step"].max()
    assert last.to_dict() == {"dense": 40, "magnitude": 40, "l2 units": 40, "2:4": 40}


def test_as_many_weights_and_units_are_pruned_as_the_target_asks_for(rows):
    assert of(rows, "dense")["sparsity"] < 0.001
    assert of(rows, "magnitude")["sparsity"] == pytest.approx(0.9, abs=0.001)
    assert of(rows, "2:4")["sparsity"] == pytest.approx(0.5, abs=0.001)
    units = of(rows, "l2 units")
    assert units["structure"] == "13-10"
    assert units["parameters"] == 784 * 13 + 13 + 13 * 10 + 10
    assert of(rows, "magnitude")["parameters"] == 101_770
    assert of(rows, "magnitude")["nonzero"] < 0.11 * 101_770


def test_fine_tuning_brings_accuracy_back(rows):
    for variant in ("magnitude", "l2 units"):
        row = of(rows, variant)
        assert row["accuracy"] > row["accuracy_before_fine_tune"] + 0.05
    assert of(rows, "2:4")["drop"] < 0.02


def test_accuracies_of_all_seeds_have_an_interval_and_a_difference_to_the_dense_network(rows, details):
    row, seeds = of(rows, "magnitude"), details["seeds"]
    accuracies = seeds[seeds["variant"] == "magnitude"]["accuracy"]
    dense = seeds[seeds["variant"] == "dense"]["accuracy"]
    assert row["seeds"] == len(accuracies) == 2
    assert accuracies.iloc[0] != accuracies.iloc[1]
    assert sorted(set(seeds["seed"])) == [5, 6]
    assert row["seed_accuracy"] == pytest.approx(accuracies.mean())
    assert row["seed_accuracy_lo"] < row["seed_accuracy"] < row["seed_accuracy_hi"]
    assert row["accuracy"] == pytest.approx(accuracies.iloc[0])
    assert row["drop"] == pytest.approx(dense.mean() - accuracies.mean())
    assert of(rows, "dense")["drop"] == 0


@pytest.mark.slow
def test_the_compiled_programs_compute_what_the_masked_network_computes(rows, matrix):
    assert (rows["max_abs_error"] < 1e-3).all()
    assert (matrix["max_abs_error"] < 1e-3).all()


@pytest.mark.slow
def test_the_smallest_file_restores_the_accuracy_that_is_shown(rows, details, shared_database):
    files = store.read_artifacts(store.engine(shared_database), rows["run_id"].iloc[0])
    assert sorted(files) == [f"mlp {name}.tinylab" for name in ("2:4 0.5", "dense 0", "l2 units 0.9", "magnitude 0.9")]
    test, sizes = mnist().test, details["storage"]
    for name, content in files.items():
        row = of(rows, name.removeprefix("mlp ").rpartition(" ")[0])
        found = sizes[sizes["variant"] == row["variant"]].set_index("storage")["size_bytes"]
        assert set(found.index) == {"dense", "bitmask", "csr", "entropy"}
        assert len(content) == row["size_bytes"] == found.min() == found[row["storage"]]
        assert accuracy_numpy(unpack(content), test.images, test.labels) == pytest.approx(row["accuracy"])


def test_a_tenth_of_the_weights_makes_a_small_file(rows):
    row = of(rows, "magnitude")
    assert row["compression"] > 8
    assert row["compression"] == pytest.approx(4 * 101_770 / row["size_bytes"])


def test_the_layers_and_the_picture_show_what_is_left(details):
    layers = details["layers"].set_index(["variant", "layer"])
    assert layers.loc[("l2 units", "layers.0"), "units"] == 13
    assert layers.loc[("magnitude", "layers.0"), "sparsity"] > 0.9 > layers.loc[("magnitude", "layers.1"), "sparsity"]
    picture = details["picture"]
    pruned = picture[(picture["variant"] == "magnitude") & (picture["after"] == 0)]
    assert len(pruned) > 0.5 * len(picture[picture["variant"] == "magnitude"])
    assert (picture[picture["variant"] == "dense"]["before"] != 0).any()


def test_each_layer_alone_has_its_sensitivity(details):
    found = details["sensitivity"]
    assert found.groupby("layer").size().to_dict() == {"layers.0": 7, "layers.1": 7}
    whole = found[found["sparsity"] == 0]["accuracy"]
    assert whole.nunique() == 1
    assert found["accuracy"].min() < whole.iloc[0] - 0.05


@pytest.mark.slow
def test_a_matrix_is_neither_trained_nor_tested_and_loses_units_or_weights(matrix):
    assert matrix["accuracy"].isna().all()
    assert set(matrix["fine_tune_steps"]) == {0}
    units = of(matrix, "l2 units")
    assert (units["structure"], units["sparsity"]) == ("50", 0.9)
    assert of(matrix, "magnitude")["sparsity"] == pytest.approx(0.9)
    assert of(matrix, "magnitude gather")["form"] == "gather"


def test_scopes_and_schedules_make_variants_only_where_they_make_a_difference():
    def names(**given):
        return [variant.name for variant in PruningSpec(**given).variants]

    assert names(method=["magnitude"], patterns=["2:4"]) == ["dense", "magnitude", "2:4"]
    both = {"method": ["magnitude", "lamp", "l2 units"], "scope": ["global", "layer"]}
    assert names(**both)[1:] == ["magnitude global", "magnitude layer", "lamp", "l2 units"]
    assert names(method=["magnitude"], schedule=["cubic", "one_shot"], patterns=["2:4"])[1:] == [
        "magnitude cubic",
        "magnitude one shot",
        "2:4",
    ]
    assert names(method=["magnitude"], schedule=["cubic", "one_shot"], fine_tune_steps=0) == ["dense", "magnitude"]
    losses = {"method": ["l2 units"], "loss": ["labels", "distilled"]}
    assert names(**losses) == ["dense", "dense distilled", "l2 units", "l2 units distilled"]
    assert names(**losses, fine_tune_steps=0) == ["dense", "l2 units"]
    assert names(method=["l2 units"], loss=["distilled"]) == ["dense", "l2 units"]


def test_a_sparsity_of_nothing_is_the_dense_network():
    assert [variant.targets for variant in PruningSpec(sparsity=[0, 0.9, 0.5]).pruned] == [(0.5, 0.9)] * 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sparsity": "1.0"}, "sparsity: 1.0 is not allowed; give numbers from 0 to 0.99"),
        ({"sparsity": "0"}, "sparsity: nothing would be pruned; give one above 0 and a method, or an N:M pattern"),
        ({"method": ""}, "sparsity: nothing would be pruned; give one above 0 and a method, or an N:M pattern"),
        ({"patterns": "5:4"}, "patterns: 5:4 is not allowed; give N:M, such as 2:4, with N from 1 to M"),
        ({"patterns": "half"}, "patterns: half is not allowed; give N:M, such as 2:4, with N from 1 to M"),
        ({"network": "resnet"}, "network: resnet is not allowed; give one of mlp"),
        ({"method": "l7"}, "method: l7 is not allowed; give any of magnitude"),
        ({"seeds": "0"}, "seeds: 0 is not allowed; give an integer from 1 to 10"),
        ({"fine_tune_steps": "-1"}, "fine_tune_steps: -1 is not allowed; give an integer from 0 to 20000"),
        (
            {"network": "lenet_5", "method": "l2 units", "sparsity": "0.98"},
            "sparsity: 0.98 leaves no unit of 20 in a layer of lenet_5; give less",
        ),
        (
            {"network": "matrix", "method": "taylor units"},
            "method: taylor units needs a trained network; matrix has no labels",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(PruningSpec, given)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
