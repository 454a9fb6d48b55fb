"""Who is looking and what they may do. Without sign-in everybody may do everything, as on one's own machine.

Sign-in is Streamlit's own (OpenID Connect), set up by `[auth]` in secrets.toml. Beside it `[team]` lists e-mail
addresses, or patterns as in `*@example.org`, of `viewers`, `runners` and `admins`; without `[team]` everybody who signs
in may run.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from dashboard.text import plain

Role = Literal["admin", "runner", "viewer", "stranger"]
LISTS: dict[str, Role] = {
    "admins": "admin",
    "runners": "runner",
    "viewers": "viewer",
}  # the first that names one counts


@dataclass(frozen=True)
class Person:
    """Somebody at a page: an e-mail address, empty where nobody signs in, and what it allows."""

    name: str
    role: Role

    @property
    def refusal_to_run(self) -> str:
        """Why this person may not start or import runs, in one line; empty where it may."""
        return (
            "" if self.role in ("runner", "admin") else f"{self.name} may look but not run: ask an admin of this page"
        )

    def refusal_to_change(self, run: Mapping[str, Any]) -> str:
        """Why this person may not cancel, describe or delete a run, in one line; empty where it may."""
        if self.role == "admin" or (self.role == "runner" and run["owner"] and run["owner"] == self.name):
            return ""
        return f"run {run['id']} belongs to {run['owner'] or 'nobody'}: its owner and admins may change it"


OWNER_OF_ALL = Person("", "admin")


def gate() -> None:
    """Stops the page until somebody who may look has signed in; does nothing where sign-in is not set up."""
    if not required():
        return
    person = me()
    if person is None:
        _sign_in()
        st.stop()
    with st.sidebar:
        st.caption(plain(person.name))
        st.button("Sign out", icon=":material/logout:", on_click=st.logout, key="sign-out")
    if person.role == "stranger":
        st.error(plain(_why_stranger(person)), icon=":material/lock:")
        st.stop()


def required() -> bool:
    """Whether this page asks who is there. A file of secrets that cannot be read is no open door: the page stops."""
    if st.secrets.load_if_toml_exists():
        return "auth" in st.secrets
    if any(Path(file).exists() for file in st.get_option("secrets.files")):
        st.error("secrets.toml cannot be read, so that nobody can be told apart: mend it", icon=":material/lock:")
        st.stop()
    return False


def me() -> Person | None:
    """The person at this page; None where sign-in is required and nobody has."""
    if not required():
        return OWNER_OF_ALL
    claims = st.user.to_dict()
    if not claims.get("is_logged_in"):
        return None
    return person(claims, st.secrets.get("team"))


def known() -> Person:
    """As `me`, for pages behind the gate."""
    return me() or Person("somebody", "stranger")


def person(claims: Mapping[str, Any], team: Mapping[str, Any] | None) -> Person:
    """The person whom the provider's claims describe, with the role that the lists give."""
    name = str(claims.get("email") or "").strip().lower()
    if not name or claims.get("email_verified") is False:
        return Person(name, "stranger")
    if team is None:
        return Person(name, "runner")
    for title, role in LISTS.items():
        listed = team.get(title, [])
        patterns = [listed] if isinstance(listed, str) else listed
        if any(fnmatchcase(name, str(pattern).strip().lower()) for pattern in patterns):
            return Person(name, role)
    return Person(name, "stranger")


def _why_stranger(person: Person) -> str:
    if not person.name:
        return "the sign-in names no e-mail address: ask its provider for the scope `email`"
    return f"{person.name} is on no list of this page, or the address is not verified: ask an admin"


def _sign_in() -> None:
    """The offer to sign in, with each provider that is set up."""
    st.title("tinygrad lab")
    if importlib.util.find_spec("authlib") is None:
        st.error("sign-in needs Authlib: run `pip install -r requirements-team.txt`", icon=":material/lock:")
        return
    st.markdown("Sign in to see the experiments and their runs.")
    providers = [name for name, value in st.secrets["auth"].items() if isinstance(value, Mapping)]
    for name in providers or [None]:
        label = f"Sign in with {name}" if name else "Sign in"
        st.button(
            label, icon=":material/login:", type="primary", on_click=st.login, args=(name,), key=f"sign-in-{name}"
        )
