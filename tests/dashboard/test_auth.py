"""Who may look, run and change: by the lists, with sign-in; everybody, without. Checked where it is done."""

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard import auth
from dashboard.safe_render import WORD_JOINER
from experiments.runs import examples, store

TEAM = {"admins": ["ann@example.org"], "runners": ["*@example.org"], "viewers": "guest@elsewhere.net"}
AUTH = {"redirect_uri": "http://localhost/oauth2callback", "cookie_secret": "x", "client_id": "a", "client_secret": "b"}
WITHIN = "from dashboard import auth\nimport streamlit as st\nauth.require_login()\nst.text('within')\n"
SUBMIT = """
from dashboard.pages import experiment
from experiments.compiler.jit import jit
experiment.submit(jit, jit.preset("quick"), print)
"""


def claims(email, **more):
    return {"is_logged_in": True, "email": email, **more}


@pytest.fixture
def signed_in():
    """Opens a script as somebody; `None` has not signed in."""

    def opened(script, email, team=TEAM):
        page = AppTest.from_string(script, default_timeout=60)
        page.secrets = {"auth": AUTH, **({"team": team} if team is not None else {})}
        page.user = claims(email) if email else {"is_logged_in": False}
        return page.run()

    return opened


@pytest.mark.parametrize(
    ("email", "team", "role"),
    [
        ("ann@example.org", TEAM, "admin"),
        ("Ann@Example.ORG ", TEAM, "admin"),
        ("bob@example.org", TEAM, "runner"),
        ("guest@elsewhere.net", TEAM, "viewer"),
        ("eve@elsewhere.net", TEAM, "unauthorized"),
        ("eve@example.org.evil.net", TEAM, "unauthorized"),
        ("anybody@anywhere.net", None, "runner"),
        ("anybody@anywhere.net", {}, "unauthorized"),
        ("", None, "unauthorized"),
    ],
)
def test_the_first_list_that_names_somebody_gives_the_role(email, team, role):
    assert auth.user_of(claims(email), team).role == role


def test_an_address_that_is_not_verified_is_nobodys():
    assert auth.user_of(claims("ann@example.org", email_verified=False), TEAM).role == "unauthorized"
    assert auth.user_of(claims("ann@example.org", email_verified=True), TEAM).role == "admin"


@pytest.mark.parametrize(
    ("role", "owner", "may"),
    [
        ("admin", "bob", True),
        ("admin", "", True),
        ("runner", "me", True),
        ("runner", "bob", False),
        ("runner", "", False),
        ("viewer", "me", False),
    ],
)
def test_owners_and_admins_may_change_a_run(role, owner, may):
    assert bool(auth.User("me", role).refusal_to_change({"id": "a", "owner": owner, "imported_by": ""})) is not may


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("runner", True), ("admin", True)])
def test_whoever_imported_a_run_may_change_it_and_its_owner_stays(role, may):
    run = {"id": "a", "owner": "bob", "imported_by": "me"}
    assert bool(auth.User("me", role).refusal_to_change(run)) is not may
    assert auth.User("", "runner").refusal_to_change({"id": "a", "owner": "", "imported_by": ""})


def test_without_sign_in_everybody_may_everything():
    assert auth.signed_in_user() == auth.LOCAL_USER
    assert not auth.LOCAL_USER.refusal_to_run
    assert not auth.LOCAL_USER.refusal_to_change({"id": "a", "owner": "bob", "imported_by": ""})


def test_nothing_is_shown_before_somebody_signs_in(signed_in):
    page = signed_in(WITHIN, None)
    assert not page.exception
    assert not page.text
    assert [one.label for one in page.button] == ["Sign in"]


def test_an_unauthorized_user_gets_the_reason_and_sees_nothing(signed_in):
    page = signed_in(WITHIN, "eve@elsewhere.net")
    assert not page.text
    assert "eve@elsewhere.net is not on an access list of this app" in page.error[0].value.replace(WORD_JOINER, "")
    assert [one.label for one in page.sidebar.button] == ["Sign out"]


def test_the_signed_in_name_owns_the_run(signed_in, db):
    page = signed_in(SUBMIT, "Bob@example.org")
    assert not page.exception
    assert not page.error
    [run] = store.list_runs(db)
    assert run["owner"] == "bob@example.org"


@pytest.mark.parametrize("email", ["guest@elsewhere.net", "eve@elsewhere.net", None])
def test_who_may_not_run_is_refused_at_submit(signed_in, db, email):
    page = signed_in(SUBMIT, email)
    assert "may view runs but not start them" in page.error[0].value
    assert store.count_runs(db) == 0


@pytest.mark.parametrize(
    ("email", "may"), [("bob@example.org", True), ("ann@example.org", True), ("eve@example.org", False)]
)
def test_a_run_is_deleted_by_its_owner_and_admins_alone(signed_in, db, stored, email, may):
    run_id = stored(owner="bob@example.org")
    script = f"""
from dashboard import services
from dashboard.pages import runs
from experiments.runs import examples, store
run = store.get_run(services.database(), {run_id!r})
if run: runs.edit(run)
"""
    page = signed_in(script, email)
    if may:
        page.checkbox(key=f"edit-{run_id}-sure").check().run()
        page.button(key=f"edit-{run_id}-delete").click().run()
    else:
        assert "belongs to bob@example.org" in page.error[0].value.replace(WORD_JOINER, "")
        assert not page.button
    assert (store.get_run(db, run_id) is None) is may


def test_the_runs_page_offers_others_runs_to_look_at_only(signed_in, stored):
    run_id = stored(owner="bob@example.org")
    script = "from dashboard.pages import runs\nruns.show()\n"
    mine, others = signed_in(script, "bob@example.org"), signed_in(script, "eve@example.org")
    assert f"edit-{run_id}" in [one.key for one in mine.button]
    assert f"edit-{run_id}" not in [one.key for one in others.button]


@pytest.mark.parametrize(
    ("email", "may"), [("ann@example.org", True), ("bob@example.org", False), ("guest@elsewhere.net", False)]
)
def test_the_example_results_which_nobody_owns_are_removed_by_admins_alone(signed_in, db, monkeypatch, email, may):
    first = examples.bundled()[:1]
    monkeypatch.setattr(examples, "bundled", lambda *_: first)
    examples.load(db, first)
    page = signed_in("from dashboard.pages import overview\noverview._examples()\n", email)
    assert ["Remove the example results" in one.label for one in page.button] == ([True] if may else [])


def test_secrets_that_cannot_be_read_are_no_open_door(tmp_path, monkeypatch):
    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth\n")
    before = config.get_option("secrets.files")
    config.set_option("secrets.files", [str(broken)])
    try:
        page = AppTest.from_string(WITHIN, default_timeout=60).run()
    finally:
        config.set_option("secrets.files", before)
    assert not page.text
    assert "secrets.toml cannot be read" in page.error[0].value
