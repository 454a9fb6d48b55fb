"""Captured networks as C: exported in one child process, compiled here by every compiler there is, and run.

zig comes with the requirements; gcc and clang are taken where they are installed, and skipped where not.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import cache_folder, child_environment
from experiments.export_c.targets import zig

NAMES = ("small static", "small weight_only", "small float32", "mixed static", "mixed float32")
COMPILERS = ("zig", "gcc", "clang")
EXPORT = """
import json
import sys
from pathlib import Path
import numpy as np
from tests.experiments.models.small_network import held_out, mixed, trained
from tinygrad import Tensor, TinyJit, Variable
from experiments.bench.tinygrad.runtime import tensor
from experiments.bench.tinygrad.c_kernels import export, program_of
from experiments.bench.tinygrad.c_program import NotExportable
from experiments.export_c.source import header, source
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.tinygrad_backend import build_forward
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.techniques.quantization.post_training import calibrate, quantize

folder, images = Path(sys.argv[1]), held_out(20).images
images.tofile(folder / "rows")
for network, weights in (trained(), mixed()):
    calibration = calibrate(network, weights, images)
    for scheme in ("static", "weight_only", "float32"):
        if (network.name, scheme) == ("mixed", "weight_only"):
            continue
        quantized = quantize(network, weights, QuantSpec(scheme), calibration)
        own = folder / f"{network.name} {scheme}"
        own.mkdir()
        texts = []
        for _ in range(2):
            given = tensor(images[:1].copy(), "CPU")
            lanes = 1 if scheme == "static" else 16
            _, program = export(build_forward(quantized, "CPU", lanes), given, noopt=scheme == "static")
            texts.append(source(program, "a test", "0.14.0"))
        (own / "model.c").write_text(texts[0])
        (own / "model.h").write_text(header(program, "a test"))
        (own / "again.c").write_text(texts[1])
        logits_numpy(quantized, images).tofile(own / "logits")


def refusal(make):
    try:
        make()
    except NotExportable as refused:
        return str(refused)
    return ""


def captured(function, *inputs):
    jit = TinyJit(function)
    for _ in range(2):
        result = jit(*inputs)
    return program_of(jit, 4, result)


four = tensor(np.ones((1, 4), np.float32), "CPU")
size = Variable("size", 1, 4).bind(2)
broken = tensor(np.array([1, np.nan, 1, 1], np.float32), "CPU")
print(json.dumps({
    "symbolic": refusal(lambda: captured(lambda x, n: (x[:, :n] + 1).sum().realize(), four, size)),
    "copy": refusal(lambda: captured(lambda x: ((x + 1).to("CPU:1") * 2).realize(), four)),
    "half": refusal(lambda: captured(lambda x: (x.half() * 3).float().realize(), four)),
    "nan": refusal(lambda: captured(lambda x: (x * broken).realize(), four)),
    "two": refusal(lambda: captured(lambda x, y: (x * y).realize(), four, tensor(np.ones((1, 4), np.float32), "CPU"))),
    "none": refusal(lambda: program_of(TinyJit(lambda x: x), 4, four)),
}))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of all exported programs, and what was refused."""
    folder = tmp_path_factory.mktemp("exported")
    environment = child_environment("CPU")
    command = [sys.executable, "-c", EXPORT, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def compiled(name, folder, compiler, *flags, source="model.c"):
    """The program of one model, built by its README's command and with all warnings as errors."""
    command = zig() if compiler == "zig" else [compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{compiler} is not installed")
    output = folder / name / f"model-{compiler}"
    call = [*command, "-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu11", *flags, source, "-o", output, "-lm"]
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig")}
    subprocess.run([str(one) for one in call], cwd=folder / name, env=environment, check=True, timeout=150)
    return output


def said(program, rows):
    done = subprocess.run([str(program)], input=rows, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(-1, 10)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", NAMES)
def test_the_program_of_every_compiler_says_what_python_says(exported, name, compiler):
    folder, _ = exported
    seen = said(compiled(name, folder, compiler), (folder / "rows").read_bytes())
    wanted = np.fromfile(folder / name / "logits", np.float32).reshape(-1, 10)
    if "static" in name:
        assert np.array_equal(seen.view(np.int32), wanted.view(np.int32))
    else:
        assert np.abs(seen - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_the_c_is_the_same_every_time(exported):
    folder, _ = exported
    for name in NAMES:
        assert (folder / name / "model.c").read_bytes() == (folder / name / "again.c").read_bytes()


def test_nothing_is_allocated_and_only_main_needs_the_c_library(exported):
    text = (exported[0] / "mixed static" / "model.c").read_text()
    assert not re.search(r"\b(malloc|calloc|realloc|alloca)\b", text)
    assert re.findall(r"#include <(\w+)", text.partition("#ifndef MODEL_NO_MAIN")[0]) == ["stdint"]


def test_the_header_serves_a_program_of_ones_own(exported):
    folder, _ = exported
    caller = '#include "model.h"\n#include <stdio.h>\n#include "model.c"\nint main(void) {\n'
    caller += "static float in[MODEL_INPUTS], out[MODEL_OUTPUTS];\npredict(in, out);\n"
    caller += 'printf("%d %d", MODEL_INPUTS, MODEL_OUTPUTS);\nreturn 0;\n}\n'
    (folder / "small static" / "caller.c").write_text(caller)
    program = compiled("small static", folder, "zig", "-DMODEL_NO_MAIN", source="caller.c")
    assert subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout == "784 10"


def test_a_row_that_is_cut_off_is_an_error_and_the_rows_before_it_are_answered(exported):
    folder, _ = exported
    program, rows = compiled("small static", folder, "zig"), (folder / "rows").read_bytes()
    done = subprocess.run([str(program)], input=rows[: 3 * 3136 + 7], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"model: the last row has 7 of 3136 bytes\n"
    assert len(done.stdout) == 3 * 40


def test_no_input_is_no_error(exported):
    program = compiled("small static", exported[0], "zig")
    done = subprocess.run([str(program)], input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("symbolic", "the symbolic variable size cannot be exported: fix the shape"),
        ("copy", "a copy between devices cannot be exported: keep the network on one device"),
        ("half", "half has no type in portable C"),
        ("nan", "a weight contains NaN or infinity"),
        ("two", "only a network with one float32 input can be exported"),
        ("none", "nothing was captured: call the network twice first"),
    ],
)
def test_what_c_cannot_be_made_of_is_refused_by_name(exported, what, line):
    assert exported[1][what] == line
