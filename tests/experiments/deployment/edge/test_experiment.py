import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.deployment.edge import builds
from experiments.deployment.edge.experiment import EdgeSpec, answer
from experiments.export_c import targets
from experiments.models.data.mnist import mnist
from experiments.models.sequential.network import mlp
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training.checkpoints import load_checkpoint
from experiments.runs import store


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run("edge", preset="quick", device="CPU", time_limit_s=170)


@pytest.fixture(scope="module")
def files(rows, shared_database):
    return store.read_artifacts(store.engine(shared_database), rows["run_id"].iloc[0])


@pytest.fixture(scope="module")
def steps(rows, shared_database):
    return experiments.detail(rows["run_id"].iloc[0], "steps")


def of(rows, variant):
    return rows[rows["variant"] == variant].iloc[0]


def test_python_this_machine_float32_and_the_target_each_have_a_row(rows):
    assert rows["variant"].tolist() == ["python jit", "c int8", "c float32", "c int8 wasm32"]
    assert rows["verdict"].tolist()[:3] == ["baseline", "faster", "faster"]
    assert set(rows["network"]) == {"784-128-10"}


def test_the_integer_program_is_bit_identical_to_python(rows):
    here = of(rows, "c int8")
    assert (here["ran"], here["max_abs_error"], here["identical"]) == ("ran", 0, True)
    assert of(rows, "python jit")["accuracy"] == here["accuracy"]


def test_the_float_program_agrees_within_rounding(rows):
    assert of(rows, "c float32")["max_abs_error"] < 1e-3


def test_the_webassembly_module_is_run_on_the_whole_test_set(rows):
    module = of(rows, "c int8 wasm32")
    assert (module["ran"], module["identical"]) == ("ran", True)
    assert module["accuracy"] == of(rows, "c int8")["accuracy"]
    assert pd.isna(module["latency_ms"])  # the speed of an emulator is not shown


def test_the_sizes_add_up(rows):
    here = of(rows, "c int8")
    assert here["weights_bytes"] < here["binary_bytes"] < here["source_bytes"]
    assert here["arena_bytes"] == 1280  # 784 bytes of input and 128 of hidden units, in steps of at most 256
    assert here["inside_us"] <= here["inside_p99_us"]
    assert here["startup_ms"] > 0


def test_every_step_reports_its_result(steps):
    assert steps["step"].tolist() == ["train", "quantise", "plan memory", "export"]
    assert steps["weights_bytes"].tolist()[1] < steps["weights_bytes"].tolist()[0] / 3.9
    assert steps["changed"].iloc[1] > 0


@pytest.mark.slow
def test_the_zip_holds_the_program_its_test_vector_and_its_recipe(rows, files, tmp_path):
    assert sorted(files) == ["mlp int8.wasm", "mlp int8.zip"]
    with zipfile.ZipFile(io.BytesIO(files["mlp int8.zip"])) as archive:
        assert sorted(archive.namelist()) == ["README.md", "model.c", "model.h", "recipe.json", "test_vector.npz"]
        archive.extractall(tmp_path)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert recipe["choice"]["network"] == "mlp"
    assert recipe["accuracy"] == pytest.approx(of(rows, "c int8")["accuracy"])
    assert "cc -O2 model.c -o model -lm" in (tmp_path / "README.md").read_text()
    program, command = tmp_path / "model", [*targets.zig(), "-O2"]
    targets.compile_c(command, [tmp_path / "model.c"], program)
    with np.load(tmp_path / "test_vector.npz") as vector:
        seen = np.frombuffer(targets.run([str(program)], vector["inputs"].tobytes()), np.float32)
        assert np.array_equal(seen.reshape(-1, 10), vector["logits"])


@pytest.mark.slow
def test_the_command_line_writes_the_zip_of_the_run(files, tmp_path):
    file = tmp_path / "model.zip"
    command = [sys.executable, "-m", "experiments", "export-c", "network=mlp", "weight_bits=8", "-o", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("mlp 784-128-10, int8: 98.4")
    assert file.read_bytes() == files["mlp int8.zip"]


@pytest.mark.parametrize(("device", "used"), [("CPU", ("CPU",)), ("CUDA", ("CUDA", "CPU"))])
def test_the_processor_is_used_besides_the_device_because_programs_run_on_it(device, used):
    assert EdgeSpec(device=device).devices_used() == used


@pytest.mark.slow
def test_pruning_makes_the_program_smaller_and_its_weights_sparse(tmp_path):
    file = tmp_path / "model.zip"
    fields = ["width=0.5", "sparsity=0.5", "fine_tune_steps=0"]
    command = [sys.executable, "-m", "experiments", "export-c", *fields, "-o", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mlp 784-64-10, int8: " in done.stderr
    assert "its constants 51,664, its arena 1,280" in done.stderr
    with zipfile.ZipFile(file) as archive:
        weights = archive.read("model.c").decode().partition("weights_0[50176]")[2].partition("};")[0]
    numbers = weights.partition("{")[2].replace("\n", "").strip(",").split(",")
    assert len(numbers) == 50_176
    assert numbers.count("0") > 0.4 * len(numbers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_bits": "9"}, "weight_bits: 9 is not allowed; give 2 to 8, or 32 for float32"),
        ({"weight_bits": "32"}, "activation_bits: 8 needs integer weights; give 32 with float32"),
        ({"network": "resnet"}, "network: resnet is not allowed; give one of mlp"),
        ({"width": "0"}, "width: 0 is not allowed; give a number from 0.05 to 1"),
        ({"sparsity": "1"}, "sparsity: 1 is not allowed; give a number from 0 to 0.99"),
        ({"network": "lenet_5", "distilled": "true"}, "distilled: lenet_5 has no larger network to learn from"),
        ({"network": "cnn_normed", "seed": "1"}, "seed: cnn_normed has one trained version; give 0"),
        ({"targets": "avr"}, "targets: avr is not allowed; give any of x86_64"),
        ({"network": "cnn_normed", "fold": "false"}, "fold: false is not allowed with integer weights"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(EdgeSpec, given)
    assert str(refused.value).startswith(message)


@pytest.fixture(scope="module")
def model(files, tmp_path_factory):
    """The model.c of the quick run, and its expected logits."""
    folder = tmp_path_factory.mktemp("model")
    with zipfile.ZipFile(io.BytesIO(files["mlp int8.zip"])) as archive:
        archive.extract("model.c", folder)
    data, network = mnist(), mlp()
    weights = load_checkpoint(network).weights
    quantized = quantize(network, weights, QuantSpec(), calibrate(network, weights, data.train.first(512).images))
    test = data.test.first(200)
    return folder / "model.c", builds.ReferenceOutputs(
        test.images, test.labels, logits_numpy(quantized, test.images[:100])
    )


@pytest.mark.slow
@pytest.mark.timeout(700)  # zig compiles a C library first: 35 s where nothing else runs
def test_aarch64_under_qemu_is_bit_identical(model):
    source, reference = model
    if targets.runner(targets.TARGETS["aarch64"]) is None:
        pytest.skip("qemu-user is not installed")
    checked = builds.check_target("aarch64", source, 10, reference)
    assert (checked.values["ran"], checked.values["identical"]) == ("ran", True)


def test_a_target_without_an_emulator_is_built_with_a_note(model, monkeypatch):
    source, reference = model
    monkeypatch.setattr(builds, "has_wasm", lambda: False)
    checked = builds.check_target("wasm32", source, 10, reference)
    assert (checked.values["ran"], checked.values["note"]) == ("built, not run", "wasmtime is not installed")
    assert checked.values["binary_bytes"] > 100_000
    assert checked.error is None


def test_a_target_without_a_compiler_has_a_note(model, monkeypatch):
    source, reference = model
    monkeypatch.setattr(targets, "zig", lambda: None)
    checked = builds.check_target("riscv64", source, 10, reference)
    assert (checked.values["ran"], checked.values["note"]) == ("no compiler", targets.NO_ZIG)


def test_a_program_that_does_not_compile_has_the_error_as_its_note(model, tmp_path):
    source = tmp_path / "model.c"
    source.write_text("int main(void) { return nothing; }\n")
    checked = builds.check_target("wasm32", source, 10, model[1])
    assert checked.values["ran"] == "failed"
    assert "nothing" in checked.values["note"]


def test_a_different_program_is_found_to_be_wrong(model, tmp_path):
    source, reference = model
    changed = tmp_path / "model.c"
    changed.write_text(source.read_text().replace("254.99998474121094f", "250.0f"))
    checked = builds.check_target("wasm32", changed, 10, reference)
    assert checked.values["identical"] is False
    assert checked.error > 0


def test_the_answer_names_time_size_accuracy_and_where_else_it_ran():
    made = {"device": "CPU", "network": "784-64-10", "accuracy": 0.983, "binary_bytes": 60_000, "speedup": np.nan}
    here = {"variant": "c int8", "target": "this machine", "ran": "ran", "inside_us": 1.25, "verdict": "faster"}
    here |= {"speedup": 80.0, "speedup_lo": 79.0, "speedup_hi": 81.0}
    others = [{"target": "aarch64", "ran": "ran"}, {"target": "windows", "ran": "built, not run"}]
    frame = pd.DataFrame([{"variant": "python jit"}, *({**made, **one} for one in (here, *others))]).convert_dtypes()
    assert answer(frame) == (
        "On CPU, c int8 of 784-64-10 takes 1.25 µs per image in a C program of 60,000 bytes, classifies 98.30% of the "
        "test set correctly, and makes a call from Python 80x faster (95% CI 79 to 81), compared with a JIT replay; "
        "builds for aarch64 also ran here; built, not run: windows."
    )
