"""One run at a time per device and host: a file lock, which the system releases when its holder dies."""

import tempfile
from pathlib import Path

from filelock import FileLock


def lock_folder() -> Path:
    """A folder shared by all users of this host, because their measurements would disturb one another as well."""
    folder = Path(tempfile.gettempdir()) / "tinylab-locks"
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
    return folder


def device_lock(device: str) -> FileLock:
    """The lock of one device, not yet acquired."""
    name = "".join(letter if letter.isalnum() else "-" for letter in device)
    return FileLock(lock_folder() / f"{name}.lock", mode=0o666)
