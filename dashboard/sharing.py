"""Links to the content of a page, and a warning when the page is open to the network."""

import socket
from urllib.parse import urlencode, urlsplit

import psutil
import streamlit as st

from dashboard import auth
from experiments.runs.team.security import is_loopback as is_loopback

COPY = """
export default function ({ parentElement, data }) {
  const button = parentElement.querySelector("button");
  button.onclick = async () => {
    button.textContent = (await copied(data.text)) ? "Copied" : "Select the link and copy it";
    setTimeout(() => { button.textContent = "Copy link"; }, 2000);
  };
}
async function copied(text) {
  if (window.isSecureContext) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
"""
BUTTON = """
button { font: inherit; font-size: .875rem; color: inherit; cursor: pointer; padding: .25rem .75rem; background: none;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius) }
button:hover, button:focus-visible { color: var(--st-primary-color); border-color: var(--st-primary-color) }
"""
# Streamlit's copy button does nothing on a network address without TLS: browsers allow it only with https.
_copy_button = st.components.v2.component(
    "copy_link", html="<button type='button'>Copy link</button>", css=BUTTON, js=COPY
)


def show_link(what: str, address: str) -> None:
    """A link to `what` the page shows, with a Copy button."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Link to {what}", width="content")
        _copy_button(data={"text": address}, key=f"copy-{address}", width="content", height="content")
    st.code(address, language=None)


def permalink(run_id: str) -> str:
    """The address of this page with one run."""
    return link(run=run_id)


def link(**query: str) -> str:
    """The address of this page with these parameters, reachable from the network if the page is."""
    here = urlsplit(_here())
    host = here.hostname or ""
    if is_loopback(host) and not is_loopback(st.get_option("server.address")):
        here = here._replace(netloc=f"{network_address() or host}:{here.port or 80}")
    return here._replace(query=urlencode(query, safe=",:"), fragment="").geturl()


def _here() -> str:
    """The address of this page as the browser sees it."""
    return st.context.url or ""


def network_address() -> str | None:
    """The first non-loopback IPv4 address of this machine; None without a network."""
    addresses = (one for of_card in psutil.net_if_addrs().values() for one in of_card)
    found = (one.address for one in addresses if one.family == socket.AF_INET)
    return next((address for address in found if not is_loopback(address)), None)


def network_notice() -> None:
    """Warns on every page if it is open to the network without sign-in."""
    if not is_loopback(st.get_option("server.address")) and not auth.is_required():
        st.warning(
            "This page is open to the network: anyone who can reach it can run experiments on this machine.",
            icon=":material/lan:",
        )
