"""One run at a time per device per host: a file lock that the system releases when its holder dies."""

import tempfile
from pathlib import Path

from filelock import FileLock


def lock_folder() -> Path:
    """A folder shared by all users of this host, since their measurements would disturb one another too."""
    folder = Path(tempfile.gettempdir()) / "tinylab-locks"
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
    return folder


def device_lock(device: str) -> FileLock:
    """The lock of one device, not yet taken."""
    name = "".join(letter if letter.isalnum() else "-" for letter in device)
    return FileLock(lock_folder() / f"{name}.lock", mode=0o666)
