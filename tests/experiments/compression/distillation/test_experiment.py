import numpy as np
import pytest

import experiments
from experiments.bench.statistics.intervals import mean_interval
from experiments.compression.distillation.experiment import distillation
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.sequential.network import lenet_300_100, parameter_count
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.training.checkpoints import load_checkpoint
from experiments.runs import store

DISTILLED = ["distilled T=3 α=0.7", "distilled T=3 α=0.7 without T²"]


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run(
        "distillation", preset="quick", device="CPU", form=["squared", "unsquared"], time_limit_s=150
    )


@pytest.fixture(scope="module")
def details(rows, shared_database):
    return {name: experiments.detail(rows["run_id"].iloc[0], name) for name in distillation.details}


def of(frame, variant):
    return frame[frame["variant"] == variant]


def test_teacher_and_student_alone_come_first_and_are_timed_side_by_side(rows):
    assert rows["variant"].tolist() == ["teacher", "student alone", *DISTILLED]
    assert rows["verdict"].tolist()[0] == "baseline"
    assert rows["verdict"].tolist()[1] in ("faster", "slower", "cannot tell")
    assert rows["latency_ms"].notna().tolist() == [True, True, False, False]
    assert (rows["max_abs_error"] < 1e-3).all()


def test_the_teacher_is_the_bundled_network(rows):
    teacher = rows.iloc[0]
    assert teacher["accuracy"] == pytest.approx(load_checkpoint(lenet_300_100()).test_accuracy)
    assert teacher["parameters"] == parameter_count(lenet_300_100())
    assert (teacher["data_fraction"], teacher["label_noise"], teacher["seeds"], teacher["agreement"]) == (1, 0, 1, 1)
    student = rows.iloc[1]
    assert student["smaller"] == pytest.approx(teacher["parameters"] / student["parameters"])
    assert rows["steps"].tolist()[1:] == [64] * 3  # eight epochs of eight batches; 60 were asked for


def test_the_gain_is_that_of_the_seeds_in_pairs(rows, details):
    seeds = details["seeds"]
    alone = of(seeds, "student alone").set_index("seed")["accuracy"]
    assert sorted(alone.index) == [0, 1, 2]
    for variant in DISTILLED:
        row, seed_rows = of(rows, variant).iloc[0], of(seeds, variant).set_index("seed")
        gains = seed_rows["accuracy"] - alone
        assert seed_rows["gain"].to_numpy() == pytest.approx(gains.to_numpy())
        interval = mean_interval(gains.tolist())
        assert (row["gain"], row["gain_lo"], row["gain_hi"]) == pytest.approx(
            (interval.median, interval.lo, interval.hi)
        )
        assert row["accuracy"] == pytest.approx(seed_rows["accuracy"].mean())
        expected = "cannot tell" if row["gain_lo"] <= 0 <= row["gain_hi"] else "better" if row["gain"] > 0 else "worse"
        assert row["gain_verdict"] == expected
    assert rows["gain"].isna().tolist()[:2] == [True, True]


def test_the_square_of_the_temperature_makes_a_difference(details):
    first, second = (of(details["seeds"], variant)["accuracy"].tolist() for variant in DISTILLED)
    assert first != second


def test_students_learn_and_their_curves_end_with_the_last_step(details):
    for (variant, seed), curve in details["learning"].groupby(["variant", "seed"]):
        assert curve["step"].is_monotonic_increasing, (variant, seed)
        assert curve["step"].iloc[-1] == 64
        assert curve["validation_accuracy"].iloc[-1] > curve["validation_accuracy"].iloc[0]
        assert curve["validation_accuracy"].iloc[-1] > 0.5


def test_the_stored_file_is_the_student_of_the_first_seed(rows, details, shared_database):
    files = store.read_artifacts(store.engine(shared_database), rows["run_id"].iloc[0])
    assert sorted(files) == sorted(f"{variant}.tinylab" for variant in rows["variant"])
    test = mnist().test
    for variant in ("student alone", *DISTILLED):
        content = files[f"{variant}.tinylab"]
        first = of(details["seeds"], variant).set_index("seed").loc[0]
        assert len(content) == of(rows, variant)["size_bytes"].iloc[0]
        assert accuracy_numpy(unpack(content), test.images, test.labels) == pytest.approx(first["accuracy"])


def test_confusions_count_every_test_image_of_every_seed(rows, details):
    for variant, counts in details["confusion"].groupby("variant"):
        correct = counts.loc[counts["label"] == counts["said"], "count"].sum()
        assert counts["count"].sum() == 30_000
        assert correct / 30_000 == pytest.approx(of(rows, variant)["accuracy"].iloc[0])


def test_soft_targets_are_probabilities_that_even_out_with_the_temperature(details):
    targets = details["targets"]
    assert sorted(targets["temperature"].unique()) == [1.0, 3.0]
    assert np.allclose(targets.groupby(["digit", "temperature"])["probability"].sum(), 1)
    largest = targets.groupby(["temperature", "digit"])["probability"].max()
    assert (largest[1.0] > largest[3.0]).all()
    for _, one in targets.groupby(["digit", "temperature"]):
        assert one.loc[one["probability"].idxmax(), "said"] == one["label"].iloc[0]  # correctly classified digits
    assert (details["digits"].groupby("digit").size() == 784).all()
