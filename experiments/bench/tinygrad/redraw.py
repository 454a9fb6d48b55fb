"""Moves a call's buffers to fresh memory (tinygrad.device, tinygrad.engine.realize and tinygrad.uop.ops).

A timing belongs to the physical pages in which its weights happen to lie: exchanging the pages of a slow and of a fast
copy exchanges their times. Moving happens in place: captured TinyJits, eager functions, weights, caches and inputs go
along, and nothing is captured or compiled again. What holds raw addresses must be made again after it: a CUDA graph
(dropped here, built by the next call), `DirectReplay`, a numpy view of a buffer.
"""

import random
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tinygrad import Device, dtypes
from tinygrad.device import Buffer, MultiBuffer
from tinygrad.engine.realize import graph_cache
from tinygrad.uop.ops import buffers

MAX_BUFFER_BYTES = 256 * 2**20  # larger ones stay: a copy has to fit beside them, and their many pages average out
QUARANTINE_BYTES = 256 * 2**20  # left memory waits this long: else the system hands out the same pages again


class Memory:
    """Draws where the memory of each of `calls` lies; `release` it when the comparison ends."""

    def __init__(self, calls: Mapping[str, Callable[[], object]], seed: int = 0) -> None:
        self._calls = calls
        self._used: dict[str, list[weakref.ref[Buffer]]] = {}
        self._rng = random.Random(seed)  # noqa: S311 - an order, not a secret
        self._left: deque[Buffer] = deque()
        self._left_bytes = 0

    def redraw(self, name: str) -> bool:
        """Moves the buffers that the call uses, one by one in random order; False if it uses none of tinygrad's.

        The device is idle afterwards. Temporary buffers of an eager call get fresh memory too. Not moved: memory given
        by address, and buffers of more than 256 MB. So it needs at most 512 MB beside what the call holds.
        """
        if name not in self._used:
            self._used[name] = _buffers_of(self._calls[name])
        found = [one for reference in self._used[name] if (one := reference()) is not None and _can_move(one)]
        if not found:
            return False
        devices = {Device[one.device] for one in found}
        for device in devices:
            device.synchronize()
            self._empty_cache(device)
        graph_cache.clear()
        views = _views_by_base()
        for one in self._rng.sample(found, len(found)):
            if one.nbytes <= MAX_BUFFER_BYTES:
                self._move(one, views.get(id(one), []))
        for device in devices:
            device.synchronize()
        return True

    def release(self) -> None:
        """Gives the left memory back to the system."""
        self._trim(0)

    def _move(self, buffer: Buffer, views: list[Buffer]) -> None:
        for view in views:
            view.deallocate()  # an address in the old memory; the next use computes it again
        if buffer.allocated_views:
            return  # a view that nothing knows holds an address
        for device in buffer._bufs.keys() - {buffer.device}:
            Device[device].allocator._unmap(buffer._bufs.pop(device))  # another device mapped the old memory
        left = Buffer(buffer.device, buffer.size, buffer.dtype, options=buffer.options).allocate()
        _copy(buffer, left)
        buffer._bufs, left._bufs = left._bufs, buffer._bufs
        self._leave(left)

    def _empty_cache(self, device: Any) -> None:
        """Puts freed blocks aside, or a buffer of the same size would get one of them."""
        cache = device.allocator.cache
        freed = [(size, options, block) for (size, options), blocks in cache.items() for block in blocks]
        cache.clear()
        for size, options, block in freed:
            self._leave(Buffer(device.device, size, dtypes.uint8, opaque=block, options=options))

    def _leave(self, left: Buffer) -> None:
        self._left.append(left)
        self._left_bytes += left.nbytes
        self._trim(QUARANTINE_BYTES)

    def _trim(self, most_bytes: int) -> None:
        """Gives the oldest memory back, once what is being copied from it has been."""
        freed = set()
        while self._left and self._left_bytes > most_bytes:
            oldest = self._left.popleft()
            self._left_bytes -= oldest.nbytes
            freed.add(oldest.device)
            oldest.deallocate()
        for device in freed:
            Device[device].synchronize()
            Device[device].allocator.free_cache()


def _buffers_of(call: Callable[[], object]) -> list[weakref.ref[Buffer]]:
    """The buffers whose memory one call asks for, without the views; a graph is built again, so its buffers count."""
    seen: dict[int, weakref.ref[Buffer]] = {}  # an eager call's temporary buffers must not outlive their use
    get_buf, own_buf = Buffer.get_buf, Buffer._buf

    def seen_get_buf(self: Buffer, device: str) -> Any:
        seen[id(self.base)] = weakref.ref(self.base)
        return get_buf(self, device)

    def seen_own_buf(self: Buffer) -> Any:
        seen[id(self.base)] = weakref.ref(self.base)
        return self._bufs[self.device]

    graph_cache.clear()
    replaced: Any = Buffer
    replaced.get_buf, replaced._buf = seen_get_buf, property(seen_own_buf)
    try:
        call()
    finally:
        replaced.get_buf, replaced._buf = get_buf, own_buf
    return list(seen.values())


def _copy(source: Buffer, target: Buffer) -> None:
    """As `Buffer.copy_from` within one device, which takes a third of a millisecond to schedule each copy."""
    allocator: Any = source.allocator
    if hasattr(allocator, "_transfer") and allocator.supports_transfer:
        device = allocator.dev
        allocator._transfer(target._buf, source._buf, source.nbytes, src_dev=device, dest_dev=device)
    else:
        allocator._copyin(target._buf, source.as_memoryview(allow_zero_copy=True))


def _can_move(buffer: Buffer) -> bool:
    external = buffer.options is not None and buffer.options.external_ptr is not None
    return buffer.device in buffer._bufs and not external and hasattr(Device[buffer.device].allocator, "cache")


def _views_by_base() -> dict[int, list[Buffer]]:
    """The allocated views that tensors and captured programs know, by the id of their base."""
    views: dict[int, dict[int, Buffer]] = {}
    for known in list(buffers.values()):
        for one in known.bufs if isinstance(known, MultiBuffer) else [known]:
            if one._base is not None and one.device in one._bufs:
                views.setdefault(id(one._base), {})[id(one)] = one
    return {base: list(of_base.values()) for base, of_base in views.items()}
