"""Connections end when they are silent, and at the end of the server only when nothing is on its way to them."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from experiments.server import connections

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def greet(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


def with_client(check):
    """Runs `check(reader, writer, state)` with a client of a server that greets."""

    async def run():
        config, state = uvicorn.Config(greet, lifespan="off", log_level="error"), ServerState()
        config.load()
        made = lambda: connections.Thrifty(config=config, server_state=state, app_state={})  # noqa: E731
        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        async with server, asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await check(reader, writer, state)
            writer.close()

    asyncio.run(run())


async def ask(reader, writer):
    """Sends a request; the head of its answer."""
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"hi"
    return head


@pytest.mark.parametrize("before", [0, 1])
def test_half_a_head_and_then_silence_is_closed_also_on_a_connection_that_was_used(monkeypatch, before):
    monkeypatch.setattr(connections, "HEAD_S", 0.1)

    async def check(reader, writer, _):
        for _ in range(before):
            await ask(reader, writer)
        writer.write(REQUEST[:10])
        assert await reader.read() == b""

    with_client(check)


def test_a_pause_between_two_requests_is_no_silence(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.05)

    async def check(reader, writer, _):
        await ask(reader, writer)
        await asyncio.sleep(0.15)
        assert (await ask(reader, writer)).startswith(b"HTTP/1.1 200")

    with_client(check)


def test_a_request_that_is_on_its_way_at_the_end_is_answered_and_the_last():
    async def check(reader, writer, state):
        assert b"connection: close" not in await ask(reader, writer)
        [connection] = state.connections
        connection.shutdown()
        assert b"connection: close" in await ask(reader, writer)
        assert await reader.read() == b""

    with_client(check)


def test_an_idle_connection_is_closed_soon_after_the_end(monkeypatch):
    monkeypatch.setattr(connections, "LAST_S", 0.05)

    async def check(reader, writer, state):
        await ask(reader, writer)
        [connection] = state.connections
        connection.shutdown()
        assert await reader.read() == b""

    with_client(check)
