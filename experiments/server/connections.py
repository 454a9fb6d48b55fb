"""Connections, thriftier than uvicorn's own: an answer is one system call, silence has an end.

Of uvicorn 0.54.0 they know, beside the callbacks of its protocol, that `cycle` is the last request whose head has come.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_S = 10.0  # that the head of a request may take
LAST_S = 0.25  # that a connection stays open at the end, for a request that is on its way to it


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
    """uvicorn's protocol with one write for each answer, a time limit for heads, and an end that loses no request."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts the clock of the first request."""
        super().connection_made(OneWrite(transport, self.loop))
        self._ending = False
        self._clock: asyncio.TimerHandle | None = self.loop.call_later(HEAD_S, self._close_if_idle)

    def data_received(self, data: bytes) -> None:
        """The clock runs from the first byte of a request until its head is whole."""
        super().data_received(data)
        if self._busy():
            if self._clock:
                self._clock.cancel()
                self._clock = None
            if self._ending:
                self.cycle.keep_alive = False
        elif self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._close_if_idle)

    def shutdown(self) -> None:
        """Closes the connection after the answer to what is under way, or on its way."""
        self._ending = True
        if self._busy():
            super().shutdown()
        else:
            self.loop.call_later(LAST_S, self._close_if_idle)

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if not self._busy() and not self.transport.is_closing():
            self.transport.close()
