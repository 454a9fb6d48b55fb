"""Idle connections are closed in bounded time, and a shutdown answers requests that are on their way."""

import asyncio
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from experiments.server import connections

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def greet(scope, receive, send):
    """An application that answers `hi`; /slow takes longer than the timeouts of these tests."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


def with_client(check):
    """Runs `check(reader, writer, server)` with a connection to a server of `greet`; then stops the server."""

    async def run():
        opened = connections.Connections(greet)
        config = uvicorn.Config(opened, http=opened.protocol, lifespan="off", log_level="error")
        server = connections.DrainingServer(config, opened)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                await check(reader, writer, server)
                writer.close()
                server.should_exit = True
                await serving

    with ThreadPoolExecutor(1) as thread:  # uvicorn installs signal handlers in the main thread only
        thread.submit(asyncio.run, run()).result()


async def ask(reader, writer, request=REQUEST):
    """Sends a request; the head of its answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"hi"
    return head


@pytest.mark.parametrize("sent", [b"", REQUEST[:10]])
def test_a_new_connection_without_a_complete_header_is_closed(monkeypatch, sent):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.3)

    async def check(reader, writer, _):
        writer.write(sent)
        assert await reader.read() == b""

    with_client(check)


def test_a_header_sent_byte_by_byte_is_closed_also_on_a_used_connection(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.1)

    async def check(reader, writer, _):
        await ask(reader, writer)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            for _ in range(100):
                writer.write(b"G")
                await writer.drain()
                await asyncio.sleep(0.02)
            await reader.readexactly(1)

    with_client(check)


def test_a_pause_between_requests_shorter_than_keep_alive_is_allowed(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.3)

    async def check(reader, writer, _):
        await ask(reader, writer)
        await asyncio.sleep(0.5)
        assert (await ask(reader, writer)).startswith(b"HTTP/1.1 200")

    with_client(check)


def test_a_request_may_be_computed_for_longer_than_the_timeouts(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.1)

    async def check(reader, writer, _):
        assert (await ask(reader, writer, REQUEST.replace(b"/ ", b"/slow "))).startswith(b"HTTP/1.1 200")

    with_client(check)


def test_a_request_on_its_way_at_shutdown_is_answered_and_is_the_last(monkeypatch):
    monkeypatch.setattr(connections, "DRAIN_S", 2.0)

    async def check(reader, writer, server):
        assert b"connection: close" not in await ask(reader, writer)
        server.handle_exit(signal.SIGTERM, None)
        assert b"connection: close" in await ask(reader, writer)
        assert await reader.read() == b""

    with_client(check)


def test_an_idle_connection_is_closed_soon_after_the_signal(monkeypatch):
    monkeypatch.setattr(connections, "DRAIN_S", 0.05)

    async def check(reader, writer, server):
        await ask(reader, writer)
        server.handle_exit(signal.SIGTERM, None)
        assert await reader.read() == b""

    with_client(check)


def test_closed_connections_are_forgotten():
    async def check(reader, writer, server):
        await ask(reader, writer)
        [(client, _)] = server._connections._open.items()
        writer.close()
        while client in server._connections._open:
            await asyncio.sleep(0.01)

    with_client(check)
