import numpy as np
import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.deployment.multi_device.experiment import MultiDeviceSpec, answer
from experiments.deployment.multi_device.workload import MultiDeviceWorkload, padded, round_up
from experiments.models.sequential.forward import forward_numpy

LAYOUTS = ["replicas round robin", "data parallel", "tensor parallel", "replicas in processes"]
ROWS = 7  # neither 2 nor 3 divide it


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run(
        "multi_device",
        preset="quick",
        device="CPU",
        batch=[ROWS],
        batches=3,
        devices=[2, 3],
        inputs=["resident", "first_device"],
        budget_s=0.1,
        time_limit_s=170,
    )


def test_every_strategy_is_measured_on_every_number_of_devices(rows):
    resident = rows[rows["inputs"] == "resident"]
    assert resident["variant"].tolist() == ["one device", *(f"{name} x{n}" for name in LAYOUTS for n in (2, 3))]
    assert resident["devices"].tolist() == [1, *[2, 3] * 4]
    assert set(rows["baseline"]) == {"one device"}


def test_every_strategy_equals_numpy_even_if_nothing_divides(rows):
    assert (rows["max_abs_error"] < 1e-3).all()
    assert "wrong" not in set(rows["verdict"])


def test_efficiency_is_speedup_per_device(rows):
    compared = rows[rows["speedup"].notna()]
    assert (compared["efficiency"] * compared["devices"]).to_numpy() == pytest.approx(compared["speedup"].to_numpy())


def test_transfers_between_devices_are_counted(rows):
    moved = rows.set_index(["inputs", "variant"])["transfer_bytes"]
    assert moved["resident", "one device"] == moved["first device", "one device"] == 0
    assert moved["resident", "replicas round robin x2"] == moved["resident", "data parallel x2"] == 0
    assert moved["resident", "tensor parallel x2"] > 0  # the sums of the second layer
    one_batch = 4 * ROWS * (784 + 10)  # there and back
    assert moved["first device", "replicas round robin x2"] == one_batch  # the second of three


def test_processes_are_measured_only_with_resident_inputs(rows):
    first_device = rows[rows["inputs"] == "first device"]
    assert not first_device["variant"].str.contains("processes").any()
    processes = rows[rows["layout"] == "processes"]
    assert (processes["cpu_per_wall"] > 0).all()


def test_the_answer_explains_why_virtual_devices_gain_nothing(rows):
    sentence = answer(rows[rows["inputs"] == "resident"])
    assert "virtual and take turns on one core" in sentence
    assert "replicas in processes x" in sentence


def test_padding_changes_no_result():
    work = MultiDeviceWorkload.of("mlp", 0, 4, 1)
    network, weights = padded(work.network, work.weights, 3)
    assert [layer.outputs for layer in network.layers] == [129, 12]
    seen = forward_numpy(network, weights, work.batches[0])
    assert np.allclose(seen[:, :10], work.reference(), atol=1e-4)
    assert (seen[:, 10:] == 0).all()


@pytest.mark.parametrize(("count", "parts", "expected"), [(10, 4, 12), (12, 4, 12), (1, 16, 16)])
def test_widths_are_rounded_up(count, parts, expected):
    assert round_up(count, parts) == expected


def test_a_gpus_answer_gives_the_efficiency_and_no_cores():
    row = {
        "device": "CUDA",
        "variant": "data parallel x2",
        "layout": "data parallel",
        "batch": 64,
        "batches": 4,
        "inputs": "resident",
        "verdict": "faster",
        "speedup": 1.9,
        "speedup_lo": 1.88,
        "speedup_hi": 1.92,
        "efficiency": 0.95,
        "cpu_per_wall": 0.5,
    }
    worse = {**row, "variant": "tensor parallel x2", "inputs": "first device", "speedup": 1.1}
    wrong = {**worse, "verdict": "wrong", "speedup": None}
    assert answer(pd.DataFrame([row, worse, wrong]).convert_dtypes()) == (
        "On CUDA, 4 batches in one call: data parallel x2 (batch 64, inputs on each device) makes the call 1.9x faster "
        "(95% CI 1.88 to 1.92), efficiency 95%; the results of tensor parallel x2 (batch 64, "
        "inputs on the first device) were wrong."
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"devices": "1"}, "devices: 1 is not allowed; give integers from 2 to 16"),
        ({"layout": "pipeline"}, "layout: pipeline is not allowed; give any of replicas"),
        ({"work": "conv"}, "work: conv is not allowed; give one of mlp, matmul"),
        ({"batch": "0"}, "batch: 0 is not allowed; give integers from 1 to 65536"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(MultiDeviceSpec, given)
    assert str(refused.value).startswith(message)
