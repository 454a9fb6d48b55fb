"""Limits how long a connection may be idle, and drains connections before the server exits.

uvicorn's keep-alive timeout runs from an answer to the first byte of the next request: a client that sends nothing, or
a header byte by byte, keeps its connection forever. And at its end uvicorn closes idle connections at once, so that
requests on their way are lost. Used here are only the callbacks of asyncio.Protocol, ASGI and `Server.handle_exit`.
"""

import asyncio
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_TIMEOUT_S = 10.0  # for the complete header of a request
KEEP_ALIVE_S = 60  # between an answer and the first byte of the next request
DRAIN_S = 0.25  # after a signal, for requests that are on their way

Client = tuple[str, int]


class Connections:
    """The open connections: an ASGI middleware, and the protocol to give to uvicorn with it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._open: dict[Client, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}
        self.draining = False
        connections = self

        class Protocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                self.client_address = _client(transport.get_extra_info("peername"))
                connections._wait(self.client_address, transport, HEADER_TIMEOUT_S)

            def connection_lost(self, error: Exception | None) -> None:
                super().connection_lost(error)
                _, timer = connections._open.pop(self.client_address)
                timer.cancel()

        self.protocol = Protocol

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Runs the application; while it does, its own deadline limits the request."""
        if scope["type"] != "http" or (client := _client(scope["client"])) not in self._open:
            await self._app(scope, receive, send)
            return
        transport, timer = self._open[client]
        timer.cancel()
        try:
            await self._app(scope, receive, self._last_answer(send) if self.draining else send)
        finally:
            if client in self._open:
                self._wait(client, transport, KEEP_ALIVE_S + HEADER_TIMEOUT_S)

    def _wait(self, client: Client, transport: asyncio.Transport, seconds: float) -> None:
        """Closes the connection unless a request starts within `seconds`."""
        timer = asyncio.get_running_loop().call_later(seconds, transport.close)
        self._open[client] = (transport, timer)

    def _last_answer(self, send: Any) -> Any:
        async def closing(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        return closing


def _client(address: Any) -> Client:
    """Host and port; an IPv6 address has further parts."""
    host, port = address[:2]
    return str(host), int(port)


class DrainingServer(uvicorn.Server):
    """A server that answers requests for another DRAIN_S after a signal; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections, self._loop = connections, asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal handler."""
        if self._connections.draining:
            super().handle_exit(sig, frame)
            return
        self._connections.draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, DRAIN_S, super().handle_exit, sig, frame)
