"""Sign-in and roles. Without sign-in every visitor may do everything, as on a personal machine.

Sign-in is Streamlit's own (OpenID Connect), configured by `[auth]` in secrets.toml. Next to it, `[team]` lists e-mail
addresses, or patterns such as `*@example.org`, of `viewers`, `runners` and `admins`; without `[team]` every signed-in
user may run experiments.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from dashboard.safe_render import escape_markdown

Role = Literal["admin", "runner", "viewer", "unauthorized"]
ROLES: dict[str, Role] = {"admins": "admin", "runners": "runner", "viewers": "viewer"}  # the first match counts


@dataclass(frozen=True)
class User:
    """A visitor: the e-mail address, empty where sign-in is not configured, and the role."""

    name: str
    role: Role

    @property
    def refusal_to_run(self) -> str:
        """Why this user may not start or import runs, in one line; empty if allowed."""
        return "" if self.role in ("runner", "admin") else f"{self.name} may view runs but not start them: ask an admin"

    def refusal_to_change(self, run: Mapping[str, Any]) -> str:
        """Why this user may not cancel, edit or delete a run, in one line; empty if allowed."""
        own = bool(self.name) and self.name in (run["owner"], run["imported_by"])
        if self.role == "admin" or (self.role == "runner" and own):
            return ""
        owner = f"belongs to {run['owner']}" if run["owner"] else "has no owner"
        return f"run {run['id']} {owner}: only its owner and admins may change it"


LOCAL_USER = User("", "admin")


def require_login() -> None:
    """Stops the page until an authorized user has signed in; does nothing where sign-in is not configured."""
    if not is_required():
        return
    user = signed_in_user()
    if user is None:
        _sign_in()
        st.stop()
    with st.sidebar:
        st.caption(escape_markdown(user.name))
        st.button("Sign out", icon=":material/logout:", on_click=st.logout, key="sign-out")
    if user.role == "unauthorized":
        st.error(escape_markdown(_why_unauthorized(user)), icon=":material/lock:")
        st.stop()


def is_required() -> bool:
    """Whether sign-in is configured. An unreadable secrets file stops the page instead of opening it to everyone."""
    if st.secrets.load_if_toml_exists():
        return "auth" in st.secrets
    if any(Path(file).exists() for file in st.get_option("secrets.files")):
        st.error("secrets.toml cannot be read, so users cannot be authenticated. Fix the file.", icon=":material/lock:")
        st.stop()
    return False


def signed_in_user() -> User | None:
    """The user of this session; None if sign-in is required and has not happened."""
    if not is_required():
        return LOCAL_USER
    claims = st.user.to_dict()
    if not claims.get("is_logged_in"):
        return None
    return user_of(claims, st.secrets.get("team"))


def current_user() -> User:
    """The user of this session on a page behind `require_login`; unauthorized where no one has signed in."""
    return signed_in_user() or User("anonymous", "unauthorized")


def user_of(claims: Mapping[str, Any], team: Mapping[str, Any] | None) -> User:
    """The user whom the provider's claims describe, with the role that the team's lists give."""
    name = str(claims.get("email") or "").strip().lower()
    if not name or claims.get("email_verified") is False:
        return User(name, "unauthorized")
    if team is None:
        return User(name, "runner")
    for title, role in ROLES.items():
        listed = team.get(title, [])
        patterns = [listed] if isinstance(listed, str) else listed
        if any(fnmatchcase(name, str(pattern).strip().lower()) for pattern in patterns):
            return User(name, role)
    return User(name, "unauthorized")


def _why_unauthorized(user: User) -> str:
    if not user.name:
        return "the sign-in contains no e-mail address: ask the provider for the scope `email`"
    return f"{user.name} is not on an access list of this app, or the address is not verified: ask an admin"


def _sign_in() -> None:
    """One sign-in button per configured provider."""
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
