"""`python -m experiments serve`: an HTTP model server on this machine."""

import asyncio
import contextlib
import resource
import socket
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.errors import BadInput
from experiments.bench.machine.device import check_name
from experiments.bench.machine.devices import first_working
from experiments.models.format.packed import DamagedModel, unpack
from experiments.models.recipe import Recipe, from_json
from experiments.models.sequential.network import NETWORKS
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.server import missing
from experiments.server.options import BatchingPolicy
from experiments.server.protocol import InferenceSettings

if TYPE_CHECKING:
    from experiments.server.app import ServedModel

FAILED = 1
OPEN_FILES = 65_536  # one per connection; the usual limit of 1,024 is too low for a burst


def serve(given: Namespace) -> int:
    """Serves until a signal; 0 after a graceful shutdown, 1 if there is no model or engine to serve with."""
    if package := missing():
        raise BadInput(
            f"serve: {package} is not installed; run `pip install {package}` or `pip install -r requirements.txt`"
        )
    try:
        device = check_name(given.device)
    except ValueError as error:
        raise BadInput(f"--device: {error}") from None
    source = Path(given.model) if given.model else _recipe(given)
    device = first_working().device if device == "auto" else device
    policy = BatchingPolicy(given.max_batch, given.max_wait_ms, given.queue, given.deadline_ms)
    with _model_file(source, device) as file, _listening(given.host, given.port) as listening:
        if file is None:
            return FAILED
        model = _checked(file, policy)
        settings = InferenceSettings(str(file), device, given.path, policy.max_batch, given.engine)
        _raise_file_limit()
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal that ended it again
            return asyncio.run(_serve(model, policy, settings, listening, given.access_log))
    return 0


@contextlib.contextmanager
def _model_file(source: Path | Recipe, device: str) -> Iterator[Path | None]:
    """The packed model to serve, while it is served; None if it could not be built."""
    if isinstance(source, Path):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="tinylab-serve-") as folder:
        from experiments.server import packed_model

        file = Path(folder) / "model.tinylab"
        yield file if packed_model.write(source, device, file) else None


def _recipe(given: Namespace) -> Recipe:
    if not given.recipe:
        if given.network not in NETWORKS:
            raise BadInput(f"--network: {given.network[:60]} is not allowed; give one of {', '.join(NETWORKS)}")
        return Recipe(given.network, quant=QuantSpec("float32"))
    path = Path(given.recipe)
    try:
        return from_json(path.read_text() if len(given.recipe) < 1024 and path.is_file() else given.recipe)
    except (ValueError, OSError) as error:
        raise BadInput(f"--recipe: {error}") from None


def _checked(file: Path, policy: BatchingPolicy) -> "ServedModel":
    """The model of a packed file; raises BadInput if the file is not one or the model cannot be batched."""
    from experiments.server.app import ServedModel

    try:
        model = unpack(file.read_bytes())
    except (OSError, DamagedModel) as error:
        raise BadInput(f"--model: {file}: {getattr(error, 'strerror', None) or error}") from None
    if model.spec.scheme == "dynamic" and policy.max_batch > 1:
        raise BadInput(
            f"--max-batch: {policy.max_batch} is not allowed for the scheme dynamic: its scales depend on the whole "
            "batch, so an answer would depend on other requests; give 1"
        )
    return ServedModel(model.network.name, int(np.prod(model.network.image)), model.network.classes)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket, opened early: a port in use is reported before anything is compiled."""
    try:
        # asyncio sets TCP_NODELAY only if the protocol is named; without it every answer waits 40 ms
        kind = {"family": socket.AF_INET, "type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
        family, *_, address = socket.getaddrinfo(host, port, **kind)[0]
        listening = socket.socket(family, kind["type"], kind["proto"])
    except OSError as error:
        raise BadInput(f"--host: {host[:60]} is not an address of this machine: {error.strerror}") from None
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            raise BadInput(f"--port: cannot listen on {host[:60]}:{port}: {error.strerror}") from None
        listening.listen(2048)
        yield listening


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


async def _serve(
    model: "ServedModel",
    policy: BatchingPolicy,
    settings: InferenceSettings,
    listening: socket.socket,
    access_log: bool,
) -> int:
    """Serves until a signal; prints the address on standard output once it is ready."""
    import uvicorn

    from experiments.server.app import Service
    from experiments.server.connections import KEEP_ALIVE_S, Connections, DrainingServer

    service = Service(model, policy, settings)
    connections = Connections(service.app())
    config = uvicorn.Config(
        connections,
        http=connections.protocol,
        lifespan="on",
        proxy_headers=False,
        log_level="info" if access_log else "error",  # warnings include a line for each request that is not HTTP
        access_log=access_log,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(policy.deadline_ms / 1e3) + 1,
    )
    server = DrainingServer(config, connections)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    host, port = listening.getsockname()[:2]
    engine = await service.started
    ready = asyncio.create_task(engine.ready.wait())
    first: list[asyncio.Future[Any]] = [ready, engine.failed, running]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if engine.failed.done():
        sys.stderr.write(f"the model cannot be served on {settings.device}: {engine.failed.result()}\n")
        server.should_exit = True
    elif ready.done():
        sys.stdout.write(f"serving {model.name} on {settings.device} at http://{host}:{port}\n")
        sys.stdout.flush()
    await running
    ready.cancel()
    return FAILED if engine.failed.done() else 0
