"""Exported networks: compiled by zig, and by gcc and clang if they are installed, then run and compared."""

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


pytestmark = pytest.mark.slow  # a program by each compiler that is here


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of all exported programs, and the errors of what cannot be exported."""
    folder = tmp_path_factory.mktemp("exported")
    environment = child_environment("CPU")
    command = [sys.executable, "-m", "tests.experiments.export_c.export_program", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def compiled(name, folder, compiler, *flags, source="model.c"):
    """The program of one model, built with its README's command and all warnings as errors."""
    command = zig() if compiler == "zig" else [compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{compiler} is not installed")
    output = folder / name / f"model-{compiler}"
    call = [*command, "-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu11", *flags, source, "-o", output, "-lm"]
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig")}
    subprocess.run([str(one) for one in call], cwd=folder / name, env=environment, check=True, timeout=150)
    return output


def logits_of(program, rows):
    done = subprocess.run([str(program)], input=rows, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(-1, 10)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", NAMES)
def test_the_program_of_every_compiler_gives_pythons_logits(exported, name, compiler):
    folder, _ = exported
    seen = logits_of(compiled(name, folder, compiler), (folder / "rows").read_bytes())
    expected = np.fromfile(folder / name / "logits", np.float32).reshape(-1, 10)
    if "static" in name:
        assert np.array_equal(seen.view(np.int32), expected.view(np.int32))
    else:
        assert np.abs(seen - expected).max() <= 1e-5 * np.abs(expected).max()


def test_equal_networks_give_equal_source(exported):
    folder, _ = exported
    for name in NAMES:
        assert (folder / name / "model.c").read_bytes() == (folder / name / "again.c").read_bytes()


def test_no_memory_is_allocated_and_only_main_needs_the_c_library(exported):
    text = (exported[0] / "mixed static" / "model.c").read_text()
    assert not re.search(r"\b(malloc|calloc|realloc|alloca)\b", text)
    assert re.findall(r"#include <(\w+)", text.partition("#ifndef MODEL_NO_MAIN")[0]) == ["stdint"]


def test_the_header_works_in_another_program(exported):
    folder, _ = exported
    caller = '#include "model.h"\n#include <stdio.h>\n#include "model.c"\nint main(void) {\n'
    caller += "static float in[MODEL_INPUTS], out[MODEL_OUTPUTS];\npredict(in, out);\n"
    caller += 'printf("%d %d", MODEL_INPUTS, MODEL_OUTPUTS);\nreturn 0;\n}\n'
    (folder / "small static" / "caller.c").write_text(caller)
    program = compiled("small static", folder, "zig", "-DMODEL_NO_MAIN", source="caller.c")
    assert subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout == "784 10"


def test_an_incomplete_row_is_an_error_after_the_rows_before_it(exported):
    folder, _ = exported
    program, rows = compiled("small static", folder, "zig"), (folder / "rows").read_bytes()
    done = subprocess.run([str(program)], input=rows[: 3 * 3136 + 7], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"model: the last row has 7 of 3136 bytes\n"
    assert len(done.stdout) == 3 * 40


def test_empty_input_gives_empty_output(exported):
    program = compiled("small static", exported[0], "zig")
    done = subprocess.run([str(program)], input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("symbolic", "the symbolic variable size cannot be exported: fix the shape"),
        ("copy", "a copy between devices cannot be exported: keep the network on one device"),
        ("half", "half has no type in portable C"),
        ("nan", "a weight contains NaN or infinity"),
        ("two", "only a network with one float32 input can be exported"),
        ("none", "nothing was captured: call the network twice first"),
    ],
)
def test_an_unsupported_capture_is_refused_with_the_reason(exported, case, message):
    assert exported[1][case] == message
