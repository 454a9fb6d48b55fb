"""Safe reading of untrusted zip files: allow-listed names, bounded size, common compression only."""

import io
import re
import zipfile
import zlib
from collections.abc import Collection

MAX_MEMBERS = 1_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks a whole member at once for the others


def unpack(data: bytes, allowed: re.Pattern[str], needed: Collection[str], most_bytes: int) -> dict[str, bytes]:
    """The members of a zip by name; raises ValueError with a one-line message, before anything too large is unpacked.

    Names are never used as paths: each must match `allowed`, and all `needed` must be present.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check(infos, allowed, needed, most_bytes)
            return {info.filename: _read(archive, info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a complete, ordinary zip file ({str(error)[:100]})") from None


def _check(infos: list[zipfile.ZipInfo], allowed: re.Pattern[str], needed: Collection[str], most_bytes: int) -> None:
    names = [info.filename for info in infos]
    if len(names) > MAX_MEMBERS:
        raise ValueError(f"{len(names):,} members; at most {MAX_MEMBERS:,} are allowed")
    if len(set(names)) < len(names):
        raise ValueError("a member occurs twice")
    if unknown := [name for name in names if not allowed.fullmatch(name)]:
        raise ValueError(f"the member {unknown[0][:60]!r} is not allowed in a bundle")
    if missing := [name for name in needed if name not in names]:
        raise ValueError(f"{missing[0]} is missing")
    if uncommon := [info.filename for info in infos if info.compress_type not in METHODS]:
        raise ValueError(f"not a complete, ordinary zip file ({uncommon[0][:60]} has an uncommon compression)")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > most_bytes:
        raise ValueError(f"{unpacked:,} bytes unpacked; at most {most_bytes:,} are allowed (--max-mb raises the limit)")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """One member, unpacked up to its declared size: a plain read() would unpack everything that is there."""
    with archive.open(info) as member:
        content = member.read(info.file_size)
        if len(content) != info.file_size or (not content and info.CRC):
            raise zipfile.BadZipFile(f"{info.filename[:60]} is shorter than declared")
    return content
