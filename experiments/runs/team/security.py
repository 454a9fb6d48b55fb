"""Access to the scheduler: any client can run code through it, so it requires TLS on a non-loopback address."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from experiments.bench.errors import BadInput

if TYPE_CHECKING:
    from distributed import Security

EXAMPLE = "give tcp://127.0.0.1:8786 or tls://host:8786"


@dataclass(frozen=True)
class Certificates:
    """TLS files: trusted certificates, own certificate and its key; the same for scheduler, worker and app."""

    ca: str
    cert: str
    key: str

    @classmethod
    def given(cls, ca: str | None = None, cert: str | None = None, key: str | None = None) -> "Certificates":
        """The given files, else those of `TINYLAB_TLS_CA`, `TINYLAB_TLS_CERT` and `TINYLAB_TLS_KEY`."""
        named = {"CA": ca, "CERT": cert, "KEY": key}
        return cls(*(value or os.environ.get(f"TINYLAB_TLS_{name}", "") for name, value in named.items()))


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can reach the address; an empty address means all interfaces."""
    if not host:
        return False
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(address: str, certificates: Certificates) -> None:
    """Raises BadInput for a malformed address, plain tcp on a non-loopback address, and tls without readable files."""
    try:
        parts = urlsplit(address)
        understood = parts.scheme in ("tcp", "tls") and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        understood = False
    if not understood:
        raise BadInput(f"scheduler: {address[:80]!r} is not understood; {EXAMPLE}")
    if parts.scheme == "tcp":
        if is_loopback(parts.hostname):
            return
        raise BadInput(
            f"scheduler: {address[:80]} is not allowed: without TLS anyone who reaches it could run code on this "
            "machine; give tls:// with --tls-ca, --tls-cert and --tls-key (or TINYLAB_TLS_CA, TINYLAB_TLS_CERT, "
            "TINYLAB_TLS_KEY)"
        )
    for name, file in vars(certificates).items():
        if not file:
            raise BadInput(f"scheduler: tls:// needs --tls-{name} or TINYLAB_TLS_{name.upper()}: a PEM file")
        if not (Path(file).is_file() and os.access(file, os.R_OK)):
            raise BadInput(f"--tls-{name}: the file {file[:200]} cannot be read")


def secured(address: str, certificates: Certificates) -> "Security | None":
    """Dask's TLS settings for `address`, after `check`; None for tcp on loopback."""
    check(address, certificates)
    if urlsplit(address).scheme == "tcp":
        return None
    from distributed import Security

    mine = {f"tls_{role}_{part}": getattr(certificates, part) for role in _ROLES for part in ("cert", "key")}
    return Security(tls_ca_file=certificates.ca, require_encryption=True, **mine)


_ROLES = ("scheduler", "worker", "client")
