"""The command line: the same experiments without a browser. `python -m experiments --help` lists the commands."""

import argparse
import functools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from experiments.bench.errors import BadInput
from experiments.bench.spec import Experiment, Spec, fields, parse
from experiments.registry import find, registered
from experiments.server.serve import add_options as serve_options
from experiments.server.serve import serve

Command = Callable[[argparse.Namespace], int]

EXITS = {"done": 0, "failed": 1, "crashed": 1, "lost": 1, "timeout": 3, "cancelled": 130}
BAD_ARGUMENTS, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    given = _parse(arguments)
    try:
        return int(given.command(given))
    except BadInput as refused:
        return _say(*refused.problems)
    except BrokenPipeError:  # `… | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_ARGUMENTS, f"{message}; see `{self.prog} --help`\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; `field=value` may stand on either side of the options, which argparse alone does not allow."""
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if unknown := [one for one in rest if one.startswith("-") or not hasattr(given, "fields")]:
        parser.error(f"{unknown[0][:60]}: not understood")
    if rest:
        given.fields += rest
    return given


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m experiments", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    command("list", _list, "the experiments and their questions")
    command("show", _show, "fields, presets and columns of one experiment").add_argument("name")
    run = command("run", _run, "carry out one experiment, print its table and the run id")
    run.add_argument("name")
    run.add_argument("fields", nargs="*", metavar="field=value", help="as `show` lists them; lists as 1,32,256")
    run.add_argument("--preset", help="start from a named spec")
    run.add_argument("--csv", metavar="FILE", help="write the rows as CSV; - writes only the CSV to standard output")
    run.add_argument("--time-limit", type=float, default=900.0, metavar="S", help="stop after S seconds (default 900)")
    run.add_argument("--no-store", action="store_true", help="keep nothing of the run")
    runs = command("runs", _runs, "the newest runs; rows and samples of all that match as CSV")
    runs.add_argument("--limit", type=int, default=20, metavar="N", help="how many are listed (default 20)")
    for name in ("experiment", "device", "host", "status", "text"):
        runs.add_argument(f"--{name}", default="", help=f"only runs with this {name}")
    runs.add_argument(
        "--csv", metavar="FILE", help="write the rows of all runs that match as CSV; - is standard output"
    )
    runs.add_argument("--samples", metavar="FILE", help="write their raw timings as CSV")
    export = command("export", _export, "write a run as a bundle: a zip file that carries it to another database")
    export.add_argument("run", nargs="+")
    export.add_argument("-o", "--output", required=True, metavar="FILE.zip", help="for several runs: a folder")
    bring = command("import", _import, "store the runs of bundles, marked as imported")
    bring.add_argument("file", nargs="+")
    bring.add_argument("--most-mb", type=int, default=64, metavar="MB", help="unpacked bytes allowed (default 64 MB)")
    scheduler = command("scheduler", _scheduler, "for a team: tell workers and apps of one another (Dask)")
    scheduler.add_argument(
        "--address", default="tcp://127.0.0.1:8786", help="tls:// off loopback (default %(default)s)"
    )
    worker = command("worker", _worker, "for a team: offer this host's devices, one worker process per device (Dask)")
    worker.add_argument("--scheduler", required=True, metavar="ADDRESS", help="tcp://127.0.0.1:8786, tls://host:8786")
    worker.add_argument("--name", help="of this host, in place of its own")
    worker.add_argument("--devices", default="", metavar="A,B", help="by default all that work")
    for service in (scheduler, worker):
        for part, text in (("ca", "who is trusted"), ("cert", "our certificate"), ("key", "its key")):
            service.add_argument(f"--tls-{part}", metavar="FILE", help=f"{text} (or TINYLAB_TLS_{part.upper()})")
    command("cancel", _cancel, "cancel a queued or running run").add_argument("run")
    export = command("export-c", _export_c, "a trained network as one C program, in a zip")
    export.add_argument("fields", nargs="*", metavar="field=value", help="as `show edge` lists them: network, width …")
    export.add_argument("-o", "--output", default="model.zip", metavar="FILE", help="the zip (default model.zip)")
    serve_options(command("serve", _serve, "a model behind HTTP on this machine, until Ctrl-C"))
    command("doctor", _doctor, "what works on this machine, what does not, and what to do")
    return parser


def _say(*lines: str) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return BAD_ARGUMENTS


def _stored(command: Command) -> Command:
    """A command that uses the database: says in one line why it cannot."""

    @functools.wraps(command)
    def guarded(given: argparse.Namespace) -> int:
        from experiments.runs.store import StoreError

        try:
            return command(given)
        except StoreError as error:
            return _say(str(error))

    return guarded


def _list(_: argparse.Namespace) -> int:
    for one in registered().values():
        print(f"{one.name:<16} {one.section:<12} {one.question}")
    return 0


def _show(given: argparse.Namespace) -> int:
    one = find(given.name)
    print(f"{one.title}: {one.question}\nCompares {one.compares}\n\n{one.description}\n\nFields")
    for info in fields(one.spec).values():
        print(f"  {info.name}={info.default}\n      {info.title}: {info.description}\n      {info.allowed}")
    print("\nPresets")
    for name, preset in one.presets.items():
        changed = [f"{key}={preset.text(key)}" for key in fields(one.spec) if preset.text(key) != _default(one, key)]
        print(f"  {name:<14} {' '.join(changed) or '(the defaults)'}")
        if planned := one.plan(preset):
            print(f"  {'':<14} {planned}")
    if one.challenge:
        print(f"\nChallenge\n  {one.challenge.goal}")
    print("\nColumns")
    for column in one.columns:
        print(f"  {column.name:<18} {f'[{column.unit}]' if column.unit else '':<10} {column.description}")
    return 0


def _default(one: Experiment[Any], field: str) -> str:
    return str(one.spec().text(field))


def _spec(one: Experiment[Any], preset: str | None, assignments: Sequence[str]) -> Any:
    """The spec that `field=value …` on top of a preset makes."""
    values: dict[str, object] = one.preset(preset).model_dump() if preset else {}
    return parse(one.spec, values | _assigned(one.spec, assignments))


def _assigned(spec: type[Spec], assignments: Sequence[str]) -> dict[str, object]:
    """The values that `field=value …` gives, as text."""
    values: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise BadInput(f"{assignment[:60]}: not understood; give field=value with {', '.join(fields(spec))}")
        values[name] = value
    return values


@_stored
def _run(given: argparse.Namespace) -> int:
    one = find(given.name)
    spec = _spec(one, given.preset, given.fields)
    _check_file("--csv", given.csv)
    if planned := one.plan(spec):
        print(planned, file=sys.stderr)
    from experiments.runs import store

    if given.no_store:
        with tempfile.TemporaryDirectory(prefix="tinylab-") as folder:
            return _carry_out(given, one, spec, f"sqlite:///{folder}/runs.db")
    return _carry_out(given, one, spec, store.database_url())


def _check_file(option: str, name: str | None) -> None:
    """Refuses a file that could not be written when its content is there."""
    path = Path(name or "-").absolute()
    if name and name != "-" and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise BadInput(f"{option}: {name[:200]} cannot be written: its folder does not exist or is not yours to write")
    if name and name != "-" and path.is_dir():
        raise BadInput(f"{option}: {name[:200]} is a folder; give a file")


def _write(option: str, name: str, parts: Iterable[str]) -> int:
    """Writes text to a file, or to standard output for `-`; says in one line why it cannot."""
    try:
        if name == "-":
            sys.stdout.writelines(parts)
            return 0
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _say(f"{option}: {name[:200]} cannot be written: {error.strerror}")
    return 0


def _carry_out(given: argparse.Namespace, one: Experiment[Any], spec: Any, url: str) -> int:
    from experiments.cli.output import ProgressLine, table
    from experiments.runs import frames, jobs, store

    with ProgressLine(sys.stderr) as progress:
        run_id = jobs.run_now(one.name, spec, url=url, time_limit_s=given.time_limit, watch=progress.see)
    db = store.engine(url)
    run = store.get_run(db, run_id)
    if run is None:
        return _say(f"run {run_id} was deleted while it ran")
    frame = frames.rows_frame(db, run, one)
    code = EXITS[run["status"]]
    if given.csv:
        code = _write("--csv", given.csv, [frames.to_csv(frame)]) or code
    if given.csv != "-":
        met = one.challenge.met(frame) if one.challenge and run["status"] == "done" else None
        solved = f"Challenge solved: {met.what} {met.why}" if met else ""
        said = [table(frame, one), one.answer(frame), solved, "" if given.no_store else run_id]
        print("\n\n".join(part for part in said if part))
    if run["status"] != "done":
        _say(f"{run['status']}: {run['message']}")
    return code


@_stored
def _runs(given: argparse.Namespace) -> int:
    from experiments.runs import bulk_export, store
    from experiments.runs.clock import format_time

    _check_file("--csv", given.csv)
    _check_file("--samples", given.samples)
    db = store.engine(store.database_url())
    wanted = {name: getattr(given, name) for name in ("experiment", "device", "host", "status", "text")}
    if given.csv or given.samples:
        code = _write("--csv", given.csv, bulk_export.rows_csv(db, **wanted)) if given.csv else 0
        return code or (
            _write("--samples", given.samples, bulk_export.samples_csv(db, **wanted)) if given.samples else 0
        )
    found = store.list_runs(db, limit=max(1, given.limit), **wanted)
    for run in found:
        print(
            f"{run['id']}  {format_time(run['created'])}  {run['experiment']:<14} {run['device']:<8} "
            f"{run['status']:<10} {run['message'] if run['status'] != 'done' else run['title']}".rstrip()
        )
    if not found:
        some = any(wanted.values())
        print(
            "no run matches" if some else "no runs yet; try: python -m experiments run jit --preset quick",
            file=sys.stderr,
        )
    return 0


@_stored
def _export(given: argparse.Namespace) -> int:
    from experiments.runs import bundle, store

    db, output = store.engine(store.database_url()), Path(given.output)
    if len(given.run) > 1 and not output.is_dir():
        raise BadInput(f"-o: {given.output[:200]} is no folder, which several runs want")
    for run_id in given.run:
        file = output / f"{run_id[:60]}.zip" if output.is_dir() else output
        content = bundle.export(db, run_id)
        try:
            file.write_bytes(content)
        except OSError as error:
            return _say(f"-o: {str(file)[:200]} cannot be written: {error.strerror}")
        print(file)
    return 0


@_stored
def _import(given: argparse.Namespace) -> int:
    from experiments.runs import bundle, store

    db, code = store.engine(store.database_url()), 0
    for name in given.file:
        try:
            run_id, new = bundle.add(db, Path(name).read_bytes(), given.most_mb * 2**20)
        except OSError as error:
            code = _say(f"{name[:200]}: cannot be read: {error.strerror}")
        except BadInput as refused:
            code = _say(f"{name[:200]}: {refused}")
        else:
            print(run_id if new else f"{run_id} is here already; nothing was changed")
    return code


@_stored
def _cancel(given: argparse.Namespace) -> int:
    from experiments.runs import store

    if store.request_cancel(store.engine(store.database_url()), given.run):
        return 0
    return _say(f"run: {given.run[:60]} is not waiting or running; `python -m experiments runs` lists the runs")


def _export_c(given: argparse.Namespace) -> int:
    from experiments.bench.machine.toolchain import NO_COMPILER, child_environment, compiler
    from experiments.export_c.spec import ExportSpec

    choice = parse(ExportSpec, _assigned(ExportSpec, given.fields))
    _check_file("--output", given.output)
    if compiler() is None:
        return _say(NO_COMPILER)
    command = [sys.executable, "-m", "experiments.export_c.command", choice.model_dump_json(), given.output]
    return subprocess.run(command, env=child_environment("CPU"), check=False).returncode


def _serve(given: argparse.Namespace) -> int:
    return serve(given)


def _scheduler(given: argparse.Namespace) -> int:
    security = _secured(given.address, given)
    import asyncio

    from experiments.runs.team.services import serve_scheduler

    try:
        asyncio.run(serve_scheduler(given.address, security, _announce))
    except OSError as error:
        return _say(f"--address: cannot listen on {given.address}: {error.strerror or error}")
    return 0


def _worker(given: argparse.Namespace) -> int:
    security = _secured(given.scheduler, given)
    import asyncio

    from experiments.runs.team.services import serve_workers, usable

    if given.name:
        os.environ["TINYLAB_HOST"] = given.name  # the processes that are started here inherit it
    names = usable([name for name in given.devices.split(",") if name])
    asyncio.run(serve_workers(given.scheduler, security, names, _announce))
    return 0


def _secured(address: str, given: argparse.Namespace) -> Any:
    """Dask's TLS settings for an address; refuses one that strangers could reach."""
    from experiments.runs import team
    from experiments.runs.team.security import Certificates, check, secured

    certificates = Certificates.given(given.tls_ca, given.tls_cert, given.tls_key)
    check(address, certificates)
    team.check_installed()
    return secured(address, certificates)


def _announce(line: str) -> None:
    print(line, flush=True)


def _doctor(_: argparse.Namespace) -> int:
    from experiments.cli.doctor import examine

    healthy = True
    for finding in examine():
        print(finding.line)
        healthy &= finding.works or not finding.needed
    return 0 if healthy else 1


def _interrupt_when_asked_to_end() -> None:
    """Makes SIGTERM and a lost terminal cancel a run as Ctrl-C does, unless somebody (nohup) decided otherwise."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    _interrupt_when_asked_to_end()
    sys.exit(main())
