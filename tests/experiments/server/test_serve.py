"""Bad input of `python -m experiments serve`: one line each."""

import socket
import subprocess
import sys

import pytest

from experiments.cli.main import main
from experiments.models.format.packed import pack
from experiments.models.recipe import Recipe
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import mlp
from experiments.models.techniques.quantization.post_training import quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.server import packed_model, serve


def refused(capsys, *arguments):
    try:
        code = main(["serve", "--device", "CPU", *arguments])
    except SystemExit as ended:  # argparse refused it
        code = ended.code
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    return code, message


def test_a_missing_package_is_named_with_the_command_that_installs_it(capsys, monkeypatch):
    monkeypatch.setattr(serve, "missing", lambda: "uvicorn")
    code, message = refused(capsys)
    assert code == 2
    assert message == "serve: uvicorn is not installed; run `pip install uvicorn` or `pip install -r requirements.txt`"


def test_a_file_that_is_not_a_model_is_refused(capsys, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_bytes(b"not a model")
    assert refused(capsys, "--model", str(file), "--port", "0") == (
        2,
        f"--model: {file}: not a packed model of tinygrad lab",
    )
    assert refused(capsys, "--model", str(tmp_path / "none"), "--port", "0")[1].endswith("No such file or directory")


def test_a_training_reports_the_start_of_each_phase_and_the_end_of_each_epoch(capsys, monkeypatch, tmp_path):
    def trains(recipe, device, progress):
        for fraction, record in ((0.0, None), (0.3, None), (0.5, {"validation_accuracy": 0.9})):
            progress(fraction, "epoch 1 of 2", record)
        return b"model"

    monkeypatch.setattr(packed_model, "packed", trains)
    monkeypatch.setattr(packed_model.signal, "signal", lambda *_: None)
    monkeypatch.setenv("TINYLAB_MODEL_DEVICE", "CPU")
    assert packed_model.main(Recipe("mlp", quant=QuantSpec("float32")).json(), str(tmp_path / "model")) == 0
    assert capsys.readouterr().err.splitlines() == [
        "no model yet, training: 0%, epoch 1 of 2",
        "no model yet, training: 50%, epoch 1 of 2, 90.00% correct",
    ]


def test_a_port_in_use_is_refused_before_anything_is_compiled(capsys, served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, message = refused(capsys, "--model", str(served.model), "--port", str(port))
    assert (code, message) == (2, f"--port: cannot listen on 127.0.0.1:{port}: Address already in use")


def test_a_model_whose_scales_depend_on_the_batch_is_not_batched(capsys, tmp_path):
    file = tmp_path / "dynamic.tinylab"
    file.write_bytes(pack(quantize(mlp(), initial_weights(mlp(), 1), QuantSpec("dynamic"), None)))
    code, message = refused(capsys, "--model", str(file), "--port", "0")
    assert code == 2
    assert message.startswith("--max-batch: 32 is not allowed for the scheme dynamic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-batch", "0"], "argument --max-batch: invalid number from 1 to 1024 value: '0'"),
        (["--max-wait-ms", "nan"], "argument --max-wait-ms: invalid number from 0 to 1000 value: 'nan'"),
        (["--network", "resnet"], "--network: resnet is not allowed; give one of mlp, "),
        (["--device", "TPU"], "--device: 'TPU' is not allowed"),
        (["--recipe", "{}"], "--recipe: "),
    ],
)
def test_a_bad_option_is_refused_in_one_line(capsys, arguments, message):
    code, seen = refused(capsys, *arguments)
    assert code == 2
    assert message in seen


def test_the_help_lists_the_options_for_users(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    text = capsys.readouterr().out
    assert "--max-wait-ms" in text
    assert "--engine" not in text  # for tests


def test_the_options_import_nothing_heavy():
    code = (
        "import sys, experiments.server.options; print({'numpy', 'uvicorn', 'pydantic', 'tinygrad'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_engine_that_cannot_start_ends_the_server_with_its_error(served):
    with (
        pytest.raises(RuntimeError, match=r"cannot be served on CPU: RuntimeError: no such device$"),
        served.server("broken_engine"),
    ):
        pass
