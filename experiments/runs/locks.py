"""One run at a time per piece of hardware and host: file locks, which the system releases when their holder dies.

The lock is of the hardware, not of its name: `CPU` and `CPU:1` are one processor, and CUDA and NV reach one GPU.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from experiments.bench.machine.device import Device

FOLDER = "TINYLAB_LOCKS"
SHARED = Path("/tmp")  # noqa: S108 - the folder that is the same for every user of a host, whatever TMPDIR says


def lock_folder() -> Path:
    """A folder shared by all users of this host, because their measurements would disturb one another as well.

    `TINYLAB_LOCKS` names another one.
    """
    base = SHARED if os.access(SHARED, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(os.environ.get(FOLDER) or base / "tinylab-locks")
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # without the sticky bit: Linux would refuse to open another user's file for writing
    return folder


def hardware_locks(devices: Iterable[str]) -> list[FileLock]:
    """The locks of all hardware of these devices, not yet acquired.

    They are in one order for every caller, so that two callers never wait for each other. Raises ValueError for what is
    no device.
    """
    names = {name for device in devices for name in Device.parse(device).hardware()}
    return [FileLock(lock_folder() / f"{_file_name(name)}.lock", mode=0o666) for name in sorted(names)]


def _file_name(hardware: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in hardware)[:100]
