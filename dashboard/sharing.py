"""Links to what a page shows, and who can see it."""

import socket
from urllib.parse import urlencode, urlsplit

import psutil
import streamlit as st

from dashboard import people
from experiments.runs.team.security import is_loopback as is_loopback


def permalink(run_id: str) -> str:
    """The address of this page with one run."""
    return link(run=run_id)


def link(**query: str) -> str:
    """The address of this page with these parameters, as a colleague can open it."""
    here = urlsplit(_here())
    host = here.hostname or ""
    if is_loopback(host) and not is_loopback(st.get_option("server.address")):
        here = here._replace(netloc=f"{network_address() or host}:{here.port or 80}")
    return here._replace(query=urlencode(query, safe=",:"), fragment="").geturl()


def _here() -> str:
    """The address of this page as the browser sees it."""
    return st.context.url or ""


def network_address() -> str | None:
    """The first IPv4 address of this machine that is not its loopback; None without a network."""
    addresses = (one for of_card in psutil.net_if_addrs().values() for one in of_card)
    found = (one.address for one in addresses if one.family == socket.AF_INET)
    return next((address for address in found if not is_loopback(address)), None)


def network_notice() -> None:
    """Says on every page that it is open to the network, where it is and nobody has to sign in."""
    if not is_loopback(st.get_option("server.address")) and not people.required():
        st.warning(
            "This page is open to the network: everybody who can reach it can run experiments on this machine.",
            icon=":material/lan:",
        )
