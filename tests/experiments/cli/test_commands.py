"""The command line: exit codes, one clear line for each mistake, and nothing left behind by an interrupt."""

import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from experiments import cli, registry
from experiments.bench.machine import toolchain
from experiments.cli.main import COMMANDS, main
from experiments.runs import store
from tests import processes

DEVICE = "device=QCOM:9"  # no machine here has it, and the experiments of `lab` compute nothing
Said = pytest.CaptureFixture[str]


def runs() -> list[dict[str, object]]:
    return [dict(run) for run in store.list_runs(store.engine(store.database_url()))]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "this did not become true"
        time.sleep(0.05)


@pytest.mark.usefixtures("lab", "any_device")
class TestRun:
    def test_a_run_that_ends_well_prints_its_table_its_answer_and_last_its_id(self, capsys: Said) -> None:
        assert main(["run", "steps", "rows=2", DEVICE]) == 0
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert lines[0].split() == ["variant", "number", "wait_s"]
        assert lines[1].split() == ["nap", "0", "0"]
        assert "2 steps were made." in lines
        assert re.fullmatch("[0-9a-f]{12}", lines[-1])
        assert [run["id"] for run in runs()] == [lines[-1]]
        assert "50%  step 1" in err

    def test_variables_that_did_not_reach_the_run_are_told_on_standard_error(
        self, capsys: Said, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROFILE", "1")
        assert main(["run", "steps", "rows=1", DEVICE]) == 0
        said = capsys.readouterr().err.splitlines()[-1]
        assert "did not reach the run" in said
        assert "PROFILE" in said

    def test_a_preset_is_where_fields_start_from(self, capsys: Said) -> None:
        assert main(["run", "steps", "--preset", "slow", "pause_s=0", "rows=1", DEVICE]) == 0
        assert runs()[0]["spec"] == {
            "device": "QCOM:9",
            "rows": 1,
            "pause_s": 0.0,
            "sizes": [1, 2],
            "needs_gb": 0.0,
        }

    @pytest.mark.parametrize(
        "order", [["rows=1", "--preset", "slow", "pause_s=0"], ["--preset=slow", "rows=1", "pause_s=0"]]
    )
    def test_fields_may_stand_on_either_side_of_options(self, capsys: Said, order: list[str]) -> None:
        assert main(["run", "steps", *order, DEVICE]) == 0
        assert capsys.readouterr().out.count("nap") == 1

    def test_lists_are_given_with_commas(self, capsys: Said) -> None:
        assert main(["run", "steps", "rows=0", "sizes=3,4,5", DEVICE]) == 0
        assert runs()[0]["spec"]["sizes"] == [3, 4, 5]  # type: ignore[index]

    @pytest.mark.parametrize(
        ("name", "code", "said"),
        [
            ("raises", 1, "failed: RuntimeError: the steps have ended"),
            ("segfault", 1, "crashed: the child process was ended by SIGSEGV"),
            ("sleeper", 3, "timeout: stopped at its time limit of 4 s"),
        ],
    )
    def test_each_bad_end_has_its_exit_code_and_its_line(self, capsys: Said, name: str, code: int, said: str) -> None:
        assert main(["run", name, "rows=1", DEVICE, "--time-limit", "4"]) == code
        out, err = capsys.readouterr()
        assert err.splitlines()[-1] == said
        assert out.splitlines()[-1] == runs()[0]["id"]
        assert "good" in out

    def test_csv_to_standard_output_is_only_csv(self, capsys: Said) -> None:
        assert main(["run", "steps", "rows=2", DEVICE, "--csv", "-"]) == 0
        frame = pd.read_csv(io.StringIO(capsys.readouterr().out))
        assert list(frame.columns) == ["run_id", "experiment", "device", "variant", "number", "wait_s", "latency_ms"]
        assert frame["number"].tolist() == [0, 1]
        assert set(frame["run_id"]) == {runs()[0]["id"]}

    def test_csv_to_a_file_leaves_the_table_on_standard_output(self, capsys: Said, tmp_path: Path) -> None:
        assert main(["run", "steps", "rows=2", DEVICE, "--csv", str(tmp_path / "rows.csv")]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == runs()[0]["id"]
        assert pd.read_csv(tmp_path / "rows.csv")["number"].tolist() == [0, 1]

    def test_no_store_keeps_nothing_and_names_no_run(self, capsys: Said, tmp_path: Path) -> None:
        assert main(["run", "steps", "rows=2", DEVICE, "--no-store"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "2 steps were made."
        assert not (tmp_path / "runs.db").exists()
        assert list(tmp_path.glob("tinylab-*")) == [tmp_path / "tinylab-locks"]
        assert runs() == []


BAD = [
    (["run", "jit", "batch=0"], "batch: 0 is not allowed; give integers from 1 to 65536"),
    (["run", "jit", "batch=1e9"], "batch: 1e9 is not allowed; give integers"),
    (["run", "jit", "batch="], "batch: nothing is not allowed; give integers"),
    (["run", "jit", "device=FOO"], "device: 'FOO' is not allowed; give auto, CUDA"),
    (["run", "jit", "device=../../etc"], "device: '../../etc' is not allowed"),
    (["run", "jit", "btach=1"], "btach: unknown field, did you mean batch?"),
    (["run", "jit", "16"], "16: not understood; give field=value with "),
    (["run", "jit", "--preset", "nothing"], "preset: nothing is not allowed; give one of basics"),
    (["run", "nothing"], "experiment: nothing is unknown; the experiments are beam"),
    (["run", "../../etc/passwd"], "experiment: ../../etc/passwd is unknown"),
    (["run", "x" * 5000], "experiment: xxx"),
    (["show", "nothing"], "experiment: nothing is unknown"),
    (["run", "steps", "--time-limit", "0"], "time limit: 0 s is not allowed; give 1 to 86400 s"),
    (["run", "steps", "--time-limit", "nan"], "time limit: nan s is not allowed"),
    (["run", "steps", "--time-limit", "soon"], "argument --time-limit: invalid float value: 'soon'"),
    (["run", "steps", "needs_gb=100000", "device=CPU"], "too large: a claim of 100000 GB needs 100000.0 GB; CPU has"),
    (["run", "steps", "--csv", "/no/such/folder/rows.csv"], "--csv: /no/such/folder/rows.csv cannot be written"),
    (["run", "steps", "--csv", "/"], "--csv: / is a folder"),
    (["cancel", "../../etc"], "run: ../../etc is not waiting or running"),
    (["run", "jit", "--fast", "batch=1"], "--fast: not understood"),
    (["runs", "jit"], "jit: not understood"),
    (["nothing"], "argument COMMAND: invalid choice: 'nothing'"),
    ([], "the following arguments are required: COMMAND"),
]


@pytest.mark.usefixtures("lab", "any_device")
@pytest.mark.parametrize(("arguments", "said"), BAD, ids=lambda value: " ".join(value)[:40])
def test_a_mistake_is_one_clear_line_exit_code_2_and_no_run(capsys: Said, arguments: list[str], said: str) -> None:
    try:
        code = main(arguments)
    except SystemExit as left:  # as argparse does
        code = int(left.code or 0)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(said)
    assert err.count("\n") == 1
    assert len(err) < 400
    assert runs() == []


@pytest.mark.usefixtures("lab", "any_device")
def test_each_of_several_mistakes_has_its_line(capsys: Said) -> None:
    assert main(["run", "jit", "batch=0", "calls=1", "modle=x"]) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["batch", "calls", "modle"]


@pytest.mark.usefixtures("any_device")
@pytest.mark.parametrize("command", [["runs"], ["cancel", "abc"], ["run", "jit", "--preset", "quick"]])
def test_a_broken_database_is_one_line_and_unchanged(capsys: Said, tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(content := b"this is no database" * 500)
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"the database sqlite:///{path} cannot be used: file is not a database\n"
    assert path.read_bytes() == content


@pytest.mark.usefixtures("lab", "any_device")
def test_runs_lists_the_newest_first_and_cancel_ends_a_waiting_one(capsys: Said) -> None:
    assert main(["runs"]) == 0
    assert "no runs yet" in capsys.readouterr().err
    for name in ("steps", "raises"):
        main(["run", name, DEVICE])
    capsys.readouterr()
    assert main(["runs", "--limit", "1"]) == 0
    assert "raises" in capsys.readouterr().out
    db = store.engine(store.database_url())
    waiting = store.add_run(db, experiment="steps", spec={}, device="CPU", host="there", time_limit_s=1.0)
    assert main(["cancel", waiting]) == 0
    assert main(["cancel", waiting]) == 2
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[5] for line in lines] == ["cancelled", "failed", "done"]


@pytest.mark.usefixtures("lab", "any_device")
def test_runs_shows_message_title_and_tags_where_there_are_some(capsys: Said) -> None:
    for name in ("steps", "raises", "steps"):
        main(["run", name, DEVICE])
    db = store.engine(store.database_url())
    for run in runs()[:2]:
        store.describe(db, str(run["id"]), "a title", "not shown", "paper, first")
    capsys.readouterr()
    assert main(["runs"]) == 0
    ends = [line.split("  ", 3)[3].split(maxsplit=2)[2:] for line in capsys.readouterr().out.splitlines()]
    assert ends == [["a title [paper, first]"], ["RuntimeError: the steps have ended a title [paper, first]"], []]


def test_list_imports_no_other_command_and_nothing_heavy() -> None:
    heavy = ("tinygrad", "pandas", "sqlalchemy", "streamlit", "plotly", "experiments.server.serve", "experiments.runs")
    command = [sys.executable, "-m", "tests.experiments.cli.list_imports", *heavy]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *listed, last = done.stdout.splitlines()
    assert last == "0"
    assert len(listed) == len(registry.registered())


def test_help_lists_every_command_with_its_module(capsys: Said) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    listed = re.findall(r"^    (\S+)(?: |$)", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(COMMANDS)
    modules = {module for module, _ in COMMANDS.values()}
    helpers = {"__init__", "main", "errors", "fields", "team", "output"}
    assert {path.stem for path in Path(cli.__file__).parent.glob("*.py")} == modules | helpers


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(capsys: Said, name: str) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert COMMANDS[name][1].split(":")[0] in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("lab")
def test_show_names_fields_presets_and_columns_with_units(capsys: Said) -> None:
    assert main(["show", "steps"]) == 0
    out = capsys.readouterr().out
    for part in ("rows=3", "an integer from 0 to 10000", "slow           rows=600 pause_s=0.1", "latency_ms"):
        assert part in out


def test_show_prints_the_plan_of_each_preset(capsys: Said) -> None:
    assert main(["show", "tradeoffs"]) == 0
    out = capsys.readouterr().out
    assert "course         batch=32" in out
    assert "8 variants of 4 models" in out


# --- interrupts, in a process of its own: `device` is probed there, so it must be one that works anywhere


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "experiments", "run", *arguments, "device=PYTHON"]
    return processes.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left_over(url: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TINYLAB_DATABASE") == url:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def rows_there() -> bool:
    return any(store.read_rows(store.engine(store.database_url()), str(run["id"])) for run in runs())


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_cancels_keeps_the_rows_and_leaves_no_process(url: str, number: signal.Signals) -> None:
    started = start("spawner")
    wait_for(rows_there)
    started.send_signal(number)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert out.splitlines()[-1] == runs()[0]["id"]
    assert err.splitlines()[-1] == "cancelled: cancelled at the terminal"
    assert "grandchild" in out
    assert runs()[0]["status"] == "cancelled"
    wait_for(lambda: not left_over(url))


@pytest.mark.usefixtures("lab")
def test_a_killed_command_line_takes_its_child_along(url: str) -> None:
    started = start("spawner")
    wait_for(rows_there)
    assert len(left_over(url)) >= 3
    started.kill()
    started.communicate(timeout=60)
    wait_for(lambda: not left_over(url))


@pytest.mark.usefixtures("lab")
def test_an_interrupt_without_store_leaves_no_folder_and_no_process(url: str, tmp_path: Path) -> None:
    started = start("spawner", "--no-store")
    wait_for(lambda: len(left_over(url)) >= 3)
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=60)
    assert started.returncode == 130
    wait_for(lambda: not left_over(url))
    assert list(tmp_path.glob("tinylab-*")) == [tmp_path / "tinylab-locks"]


@pytest.mark.usefixtures("lab")
def test_a_run_goes_on_when_standard_error_is_closed(url: str) -> None:
    started = start("steps", "rows=5", "pause_s=0.05")
    assert started.stdout is not None
    assert started.stderr is not None
    started.stderr.close()
    out = started.stdout.read()
    assert started.wait(60) == 0
    assert runs()[0]["status"] == "done"
    assert out.splitlines()[-1] == runs()[0]["id"]


# --- doctor


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with neither clang nor ziglang: a PATH without the one, a module in front of the other."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "ziglang.py").write_text("raise ImportError('not installed')\n")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    monkeypatch.setenv("PATH", str(blocked))


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_run_names_the_command_that_installs_one() -> None:
    done = call("run", "jit", "--preset", "quick", "device=CPU")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"device: CPU does not work here: {toolchain.NO_COMPILER}\n"
    assert done.stderr.count("`pip install ziglang`") == 1
    assert runs() == []


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_doctor_reports_it_and_the_missing_default_device() -> None:
    done = call("doctor")
    lines = {line[:20].strip(): line for line in done.stdout.splitlines()}
    assert toolchain.NO_COMPILER in lines["no   C compiler"]
    assert lines["ok   device PYTHON"]
    if "no   default device" in lines:  # there is no GPU either
        assert done.returncode == 1
        assert "CPU: no C compiler" in lines["no   default device"]
        assert lines["no   default device"].endswith("until that is fixed, name another device: device=PYTHON")
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("lab", "any_device")
def test_doctor_is_content_where_the_default_device_works(
    capsys: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    monkeypatch.setenv(registry.FOLDERS, str(tmp_path))
    monkeypatch.setenv("PROFILE", "1")
    registry.forget()
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    (told,) = (line for line in out.splitlines() if line.startswith("ok   variables"))
    assert "PROFILE" in told
    assert "ok   default device runs go to CPU unless a device is named" in out
    assert f"{tmp_path / 'broken.py'}: ModuleNotFoundError: No module named 'nothing_of_that_name'" in out


@pytest.mark.usefixtures("any_device")
def test_doctor_names_a_broken_database_and_exits_with_1(capsys: Said, tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_bytes(b"this is no database" * 500)
    assert main(["doctor"]) == 1
    assert "no   database" in capsys.readouterr().out


@pytest.mark.usefixtures("lab", "any_device")
class TestSharing:
    def test_a_run_is_moved_to_another_database_and_a_second_import_changes_nothing(
        self, capsys: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert main(["run", "steps", "rows=1", DEVICE]) == 0
        run_id = str(runs()[0]["id"])
        assert main(["export", run_id, "-o", str(tmp_path / "run.zip")]) == 0
        monkeypatch.setenv("TINYLAB_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")
        capsys.readouterr()
        assert main(["import", str(tmp_path / "run.zip")]) == 0
        assert main(["import", str(tmp_path / "run.zip")]) == 0
        assert capsys.readouterr().out.splitlines() == [run_id, f"{run_id} already exists; nothing was changed"]
        assert [(run["id"], run["imported"]) for run in runs()] == [(run_id, True)]

    def test_several_runs_go_into_a_folder(self, capsys: Said, tmp_path: Path) -> None:
        for _ in range(2):
            assert main(["run", "steps", "rows=1", DEVICE]) == 0
        ids = [str(run["id"]) for run in runs()]
        assert main(["export", *ids, "-o", str(tmp_path / "none")]) == 2
        assert main(["export", *ids, "-o", str(tmp_path)]) == 0
        assert {f"{run_id}.zip" for run_id in ids} <= {file.name for file in tmp_path.iterdir()}

    def test_a_bad_bundle_is_one_line_and_the_good_ones_beside_it_come_in(
        self, capsys: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert main(["run", "steps", "rows=1", DEVICE]) == 0
        good, bad, none = (tmp_path / name for name in ("good.zip", "bad.zip", "none.zip"))
        assert main(["export", str(runs()[0]["id"]), "-o", str(good)]) == 0
        bad.write_bytes(good.read_bytes()[:-9])
        monkeypatch.setenv("TINYLAB_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")
        capsys.readouterr()
        assert main(["import", str(bad), str(none), str(good)]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 2
        assert "bad.zip: bundle: not a complete, ordinary zip file" in said[0]
        assert "none.zip: cannot be read" in said[1]
        assert len(runs()) == 1

    def test_rows_and_samples_of_the_runs_that_match_are_written(self, capsys: Said, tmp_path: Path) -> None:
        assert main(["run", "steps", "rows=2", DEVICE]) == 0
        capsys.readouterr()
        assert main(["runs", "--experiment", "steps", "--csv", "-", "--samples", str(tmp_path / "s.csv")]) == 0
        assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 2
        assert len(pd.read_csv(tmp_path / "s.csv")) == 6
        assert main(["runs", "--status", "failed"]) == 0
        assert "no run matches" in capsys.readouterr().err
        assert main(["runs", "--csv", str(tmp_path)]) == 2
