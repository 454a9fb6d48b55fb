"""`python -m experiments serve`: a model behind HTTP on this machine."""

import asyncio
import contextlib
import resource
import socket
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.errors import BadInput
from experiments.bench.machine.devices import check_name, first_working
from experiments.models.format.packed import DamagedModel, unpack
from experiments.models.recipe import Recipe, from_json
from experiments.models.sequential.network import NETWORKS
from experiments.models.techniques.quantization.post_training import QuantSpec
from experiments.server import missing
from experiments.server.settings import MAX_BATCH, MAX_QUEUE, MAX_WAIT_MS, TINYGRAD, BatchingPolicy, InferenceSettings

if TYPE_CHECKING:
    from experiments.server.app import ServedModel

FAILED = 1
OPEN_FILES = 65_536  # each connection is one; the usual limit of 1,024 is less than a burst


def add_options(parser: ArgumentParser) -> None:
    """The options of the command."""
    policy = BatchingPolicy()
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--network", default="mlp", choices=list(NETWORKS), help="with its checkpoint (default mlp)")
    model.add_argument("--recipe", metavar="TEXT", help="a recipe, or a file with one")
    model.add_argument("--model", metavar="FILE", help="a packed model, as the runs of some experiments keep them")
    parser.add_argument("--port", type=_number(int, 0, 65_535), default=8000, help="0 takes any (default 8000)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default this machine alone)")
    parser.add_argument("--max-batch", type=_number(int, 1, MAX_BATCH), default=policy.max_batch, metavar="N")
    parser.add_argument(
        "--max-wait-ms",
        type=_number(float, 0, MAX_WAIT_MS),
        default=policy.max_wait_ms,
        metavar="MS",
        help="what a request waits for others to join its batch; 0 takes what is queued (default 2)",
    )
    parser.add_argument("--queue", type=_number(int, 1, MAX_QUEUE), default=policy.queue, metavar="N")
    parser.add_argument("--deadline-ms", type=_number(float, 1, 6e5), default=policy.deadline_ms, metavar="MS")
    parser.add_argument("--device", default="auto", help="as tinygrad names it (default the first that works)")
    parser.add_argument("--path", choices=["fast", "plain"], default="fast", help="how a captured batch is replayed")
    parser.add_argument(
        "--engine", default=TINYGRAD, metavar="MODULE:FUNCTION", help="what computes (default tinygrad)"
    )
    parser.add_argument("--access-log", action="store_true", help="one line for each request")


def _number(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError
        return value

    number.__name__ = f"number from {low:g} to {high:g}"  # argparse says: invalid NAME value
    return number


def serve(given: Namespace) -> int:
    """Serves until it is told to end; 0 after a graceful end, 1 where there is nothing to serve with."""
    if package := missing():
        raise BadInput(f"serve: {package} is not installed; `pip install {package}`, or all of requirements.txt")
    try:
        device = check_name(given.device)
    except ValueError as error:
        raise BadInput(f"--device: {error}") from None
    device = first_working().device if device == "auto" else device
    policy = BatchingPolicy(given.max_batch, given.max_wait_ms, given.queue, given.deadline_ms)
    with _model_file(given, device) as file, _listening(given.host, given.port) as listening:
        if file is None:
            return FAILED
        name, pixels, classes = _described(file, policy)
        inference = InferenceSettings(str(file), device, given.path, policy.max_batch, given.engine)
        from experiments.server.app import ServedModel

        _allow_many_files()
        model = ServedModel(name, pixels, classes)
        with contextlib.suppress(KeyboardInterrupt):  # how the server hands on the signal that has ended it
            return asyncio.run(_serve(model, policy, inference, listening, given.access_log))
    return 0


@contextlib.contextmanager
def _model_file(given: Namespace, device: str) -> Iterator[Path | None]:
    """The packed model to serve, for as long as it is served; None where it could not be made."""
    if given.model:
        yield Path(given.model)
        return
    with tempfile.TemporaryDirectory(prefix="tinylab-serve-") as folder:
        from experiments.server import packed_model

        file = Path(folder) / "model.tinylab"
        yield file if packed_model.write(_recipe(given), device, file) else None


def _recipe(given: Namespace) -> Recipe:
    if not given.recipe:
        return Recipe(given.network, quant=QuantSpec("float32"))
    path = Path(given.recipe)
    try:
        return from_json(path.read_text() if len(given.recipe) < 1024 and path.is_file() else given.recipe)
    except (ValueError, OSError) as error:
        raise BadInput(f"--recipe: {error}") from None


def _described(file: Path, policy: BatchingPolicy) -> tuple[str, int, int]:
    """Name, pixels and classes of a packed model; BadInput where it is none or cannot be batched."""
    try:
        model = unpack(file.read_bytes())
    except (OSError, DamagedModel) as error:
        raise BadInput(f"--model: {file}: {getattr(error, 'strerror', None) or error}") from None
    if model.spec.scheme == "dynamic" and policy.max_batch > 1:
        raise BadInput(
            f"--max-batch: {policy.max_batch} is not allowed for the scheme dynamic, whose scales are those of a whole "
            "batch: an answer would depend on who else is served; give 1"
        )
    return model.network.name, int(np.prod(model.network.image)), model.network.classes


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, so that a port in use is known before anything is compiled."""
    try:
        # the protocol is named: only then does asyncio spare every answer the 40 ms that Nagle's algorithm waits
        kind = {"family": socket.AF_INET, "type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
        family, *_, address = socket.getaddrinfo(host, port, **kind)[0]
        made = socket.socket(family, kind["type"], kind["proto"])
    except OSError as error:
        raise BadInput(f"--host: {host[:60]} is no address of this machine: {error.strerror}") from None
    with made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(address)
        except OSError as error:
            raise BadInput(f"--port: {host[:60]}:{port} cannot be listened at: {error.strerror}") from None
        made.listen(2048)
        yield made


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _serve(
    model: "ServedModel",
    policy: BatchingPolicy,
    inference: InferenceSettings,
    listening: socket.socket,
    access_log: bool,
) -> int:
    """Serves until a signal ends it, and says on standard output when it is ready."""
    import uvicorn

    from experiments.server.app import Service
    from experiments.server.connections import Thrifty

    service = Service(model, policy, inference)
    config = uvicorn.Config(
        service.app(),
        http=Thrifty,
        lifespan="on",
        proxy_headers=False,
        log_level="info" if access_log else "error",  # a warning is a line for each request that is no HTTP
        access_log=access_log,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=int(policy.deadline_ms / 1e3) + 1,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    host, port = listening.getsockname()[:2]
    engine = await service.started
    ready = asyncio.create_task(engine.ready.wait())
    first: list[asyncio.Future[Any]] = [ready, engine.failed, running]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if engine.failed.done():
        sys.stderr.write(f"the model cannot be served on {inference.device}: {engine.failed.result()}\n")
        server.should_exit = True
    elif ready.done():
        sys.stdout.write(f"serving {model.name} on {inference.device} at http://{host}:{port}\n")
        sys.stdout.flush()
    await running
    ready.cancel()
    return FAILED if engine.failed.done() else 0
