"""Links to what a page shows, and who can see it."""

import ipaddress

import streamlit as st


def permalink(run_id: str) -> str:
    """The address of this page with one run, as the browser sees this server."""
    return f"{(st.context.url or '').split('?')[0]}?run={run_id}"


def is_loopback(address: str | None) -> bool:
    """Whether a server bound to `address` can be reached from its own machine alone."""
    if not address:
        return False  # Streamlit then listens on all addresses
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def network_notice() -> None:
    """Says on every page that it is open to the network, where it is."""
    if not is_loopback(st.get_option("server.address")):
        st.warning(
            "This page is open to the network: everybody who can reach it can run experiments on this machine.",
            icon=":material/lan:",
        )
