import numpy as np
import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.bench.statistics.intervals import mean_interval
from experiments.compression.distillation.experiment import DistillationSpec, answer, distillation
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.sequential.network import lenet_300_100, parameter_count
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.training.checkpoints import load_checkpoint
from experiments.runs import store

TAUGHT = ["distilled T=3 α=0.7", "distilled T=3 α=0.7 without T²"]


@pytest.fixture(scope="module")
def rows(apart):
    return experiments.run(
        "distillation", preset="quick", device="CPU", form=["squared", "unsquared"], time_limit_s=150
    )


@pytest.fixture(scope="module")
def details(rows, apart):
    return {name: experiments.detail(rows["run_id"].iloc[0], name) for name in distillation.details}


def of(frame, variant):
    return frame[frame["variant"] == variant]


def test_teacher_and_student_alone_come_first_and_are_timed_side_by_side(rows):
    assert rows["variant"].tolist() == ["teacher", "student alone", *TAUGHT]
    assert rows["verdict"].tolist()[0] == "baseline"
    assert rows["verdict"].tolist()[1] in ("faster", "slower", "cannot tell")
    assert rows["latency_ms"].notna().tolist() == [True, True, False, False]
    assert (rows["max_abs_error"] < 1e-3).all()


def test_the_teacher_is_the_carried_network_whole(rows):
    teacher = rows.iloc[0]
    assert teacher["accuracy"] == pytest.approx(load_checkpoint(lenet_300_100()).test_accuracy)
    assert teacher["parameters"] == parameter_count(lenet_300_100())
    assert (teacher["data_fraction"], teacher["label_noise"], teacher["seeds"], teacher["agreement"]) == (1, 0, 1, 1)
    student = rows.iloc[1]
    assert student["smaller"] == pytest.approx(teacher["parameters"] / student["parameters"])
    assert rows["steps"].tolist()[1:] == [64] * 3  # eight whole passes of eight batches; 60 were asked for


def test_the_gain_is_that_of_the_seeds_in_pairs(rows, details):
    seeds = details["seeds"]
    alone = of(seeds, "student alone").set_index("seed")["accuracy"]
    assert sorted(alone.index) == [0, 1, 2]
    for variant in TAUGHT:
        row, own = of(rows, variant).iloc[0], of(seeds, variant).set_index("seed")
        gains = own["accuracy"] - alone
        assert own["gain"].to_numpy() == pytest.approx(gains.to_numpy())
        interval = mean_interval(gains.tolist())
        assert (row["gain"], row["gain_lo"], row["gain_hi"]) == pytest.approx(
            (interval.median, interval.lo, interval.hi)
        )
        assert row["accuracy"] == pytest.approx(own["accuracy"].mean())
        expected = "cannot tell" if row["gain_lo"] <= 0 <= row["gain_hi"] else "better" if row["gain"] > 0 else "worse"
        assert row["gain_verdict"] == expected
    assert rows["gain"].isna().tolist()[:2] == [True, True]


def test_the_square_of_the_temperature_makes_a_difference(details):
    first, second = (of(details["seeds"], variant)["accuracy"].tolist() for variant in TAUGHT)
    assert first != second


def test_students_learn_and_their_curves_end_with_the_last_step(details):
    for (variant, seed), curve in details["learning"].groupby(["variant", "seed"]):
        assert curve["step"].is_monotonic_increasing, (variant, seed)
        assert curve["step"].iloc[-1] == 64
        assert curve["validation_accuracy"].iloc[-1] > curve["validation_accuracy"].iloc[0]
        assert curve["validation_accuracy"].iloc[-1] > 0.5


def test_the_stored_file_is_the_student_of_the_first_seed(rows, details, apart):
    files = store.read_artifacts(store.engine(apart), rows["run_id"].iloc[0])
    assert sorted(files) == sorted(f"{variant}.tinylab" for variant in rows["variant"])
    test = mnist().test
    for variant in ("student alone", *TAUGHT):
        content = files[f"{variant}.tinylab"]
        first = of(details["seeds"], variant).set_index("seed").loc[0]
        assert len(content) == of(rows, variant)["size_bytes"].iloc[0]
        assert accuracy_numpy(unpack(content), test.images, test.labels) == pytest.approx(first["accuracy"])


def test_confusions_count_every_test_image_of_every_seed(rows, details):
    for variant, counts in details["confusion"].groupby("variant"):
        right = counts.loc[counts["label"] == counts["said"], "count"].sum()
        assert counts["count"].sum() == 30_000
        assert right / 30_000 == pytest.approx(of(rows, variant)["accuracy"].iloc[0])


def test_soft_targets_are_probabilities_that_even_out_with_the_temperature(details):
    targets = details["targets"]
    assert sorted(targets["temperature"].unique()) == [1.0, 3.0]
    assert np.allclose(targets.groupby(["digit", "temperature"])["probability"].sum(), 1)
    largest = targets.groupby(["temperature", "digit"])["probability"].max()
    assert (largest[1.0] > largest[3.0]).all()
    for _, one in targets.groupby(["digit", "temperature"]):
        assert one.loc[one["probability"].idxmax(), "said"] == one["label"].iloc[0]  # digits that it gets right
    assert (details["digits"].groupby("digit").size() == 784).all()


def test_every_temperature_meets_every_alpha():
    assert list(DistillationSpec(temperature=[2, 4], alpha=[0.5, 1], form=["unsquared"]).treatments) == [
        "distilled T=2 α=0.5 without T²",
        "distilled T=2 α=1 without T²",
        "distilled T=4 α=0.5 without T²",
        "distilled T=4 α=1 without T²",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": "0"}, "temperature: 0 is not allowed; give numbers from 0.1 to 100"),
        ({"alpha": "1.2"}, "alpha: 1.2 is not allowed; give numbers from 0.01 to 1"),
        ({"alpha": "0"}, "alpha: 0 is not allowed; give numbers from 0.01 to 1"),
        ({"data_fraction": "0.001"}, "data_fraction: 0.001 leaves 55 of 55,000 training images, which do not fill"),
        ({"data_fraction": "2"}, "data_fraction: 2 is not allowed; give a number"),
        ({"label_noise": "1"}, "label_noise: 1 is not allowed; give a number from 0 to 0.9"),
        ({"seeds": "2"}, "seeds: 2 is not allowed; give an integer from 3 to 20"),
        ({"teacher": "resnet"}, "teacher: 'resnet' is no network; give one of mlp, lenet_300_100, cnn, lenet_5, or"),
        ({"student": "128-0"}, "student: 128-0: at most 4 hidden layers of 1 to 2048 units are allowed"),
        ({"form": "hinton"}, "form: hinton is not allowed; give any of squared, unsquared"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, said):
    with pytest.raises(BadInput) as refused:
        parse(DistillationSpec, given)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_smaller_teacher_is_allowed_and_asks_for_the_memory_of_the_larger_student():
    spec = parse(DistillationSpec, {"teacher": "16", "student": "1024-1024"})
    assert spec.need().bytes == 20 * (784 * 1024 + 1024 * 1024 + 1024 * 10 + 2 * 1024 + 10)


def made(variant, accuracy, validation, parameters, gain=None, verdict=None):
    timed = {"latency_ms": 1.0, "speedup": 2.0, "speedup_lo": 1.9, "speedup_hi": 2.1, "verdict": "faster", "batch": 32}
    student = {"gain": gain, "gain_lo": gain and gain - 0.002, "gain_hi": gain and gain + 0.002}
    return {
        "device": "CPU",
        "variant": variant,
        "network": "mlp" if variant != "teacher" else "512-256",
        "accuracy": accuracy,
        "validation_accuracy": validation,
        "parameters": parameters,
        "smaller": 500 / parameters,
        "data_fraction": 0.05,
        "label_noise": 0.0,
        "seeds": 3,
        **(timed if gain is None else {"verdict": None}),
        **student,
        "gain_verdict": verdict,
    }


def said(*distilled, student_parameters=100):
    base = [made("teacher", 0.98, 0.98, 500), made("student alone", 0.95, 0.95, student_parameters)]
    return answer(pd.DataFrame([*base, *distilled]).convert_dtypes())


def test_the_answer_names_the_treatment_that_the_validation_images_choose():
    sentence = said(
        made("distilled T=3 α=0.7", 0.96, 0.961, 100, 0.01, "better"),
        made("distilled T=8 α=0.7", 0.97, 0.955, 100, 0.02, "better"),
    )
    assert sentence == (
        "On CPU mlp with 5% of the training images, distilled T=3 α=0.7 (best of 2 by the validation images), gains "
        "1.00 points of test accuracy (95 % +0.80 to +1.20 over 3 seeds): 96.00%, alone 95.00%, its teacher 512-256 "
        "98.00% with 5x the parameters; in the teacher's place it makes a call 2x faster (95 % 1.9 to 2.1) at batch 32."
    )


def test_the_answer_says_where_there_is_no_gain_to_be_told():
    sentence = said(made("distilled T=3 α=0.7", 0.951, 0.95, 100, 0.001, "cannot tell"))
    assert "images, distilled T=3 α=0.7, has no gain that can be told" in sentence
    assert "has no gain that can be told: +0.10 points of test accuracy (95 % -0.10 to +0.30 over 3 seeds)" in sentence


def test_the_answer_remarks_on_a_teacher_smaller_than_its_student():
    sentence = said(made("distilled T=3 α=0.7", 0.94, 0.94, 1000, -0.01, "worse"), student_parameters=1000)
    assert "loses 1.00 points of test accuracy (95 % -1.20 to -0.80" in sentence
    assert "with 0.5x the parameters, a teacher smaller than its student;" in sentence


def test_there_is_no_answer_before_a_student_was_taught():
    assert said() == ""
