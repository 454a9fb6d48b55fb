"""Connections, thriftier than uvicorn's own: an answer is one system call, and silence has an end."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_S = 10.0


class OneWrite:
    """A transport that sends what is written in one turn of the event loop at once: head and body of an answer."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Sends `data` with whatever else is written before the loop's next turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Sends what was written, then closes."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Thrifty(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """uvicorn's protocol with one write for each answer, which waits for a first request no longer than ten seconds."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts the clock of a new connection."""
        super().connection_made(OneWrite(transport, self.loop))
        self.loop.call_later(HEAD_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
