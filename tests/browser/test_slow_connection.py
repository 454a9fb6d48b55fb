"""A visitor who clicks before the server's messages have arrived: what is selected and shown is what runs."""

import pytest
from playwright.sync_api import expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from experiments.compiler.jit import jit
from experiments.runs import store
from tests.browser.browser_tools import drawn, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Connection:
    """The messages of the server to one page; those that `holds` chooses wait until `release`."""

    def __init__(self, page):
        self.holds = lambda message: False
        self.held = []
        page.route_web_socket("**/_stcore/stream", self._connect)

    def _connect(self, browser):
        self.browser = browser
        server = browser.connect_to_server()
        server.on_message(self._pass)

    def _pass(self, message):
        if self.held or self.holds(ForwardMsg.FromString(message)):
            self.held.append(message)
        else:
            self.browser.send(message)

    def holds_type(self, name):
        return any(ForwardMsg.FromString(message).WhichOneof("type") == name for message in self.held)

    def release(self):
        self.holds = lambda message: False
        waiting, self.held = self.held, []
        for message in waiting:
            self.browser.send(message)


@pytest.fixture
def slow_page(visitor):
    """The JIT experiment's page and its connection."""
    page = visitor().context.new_page()
    connection = Connection(page)
    return page, connection


def open_form(page, app):
    page.goto(f"{app.address}/jit")
    drawn(page)


def run_and_release(page, connection, app):
    """Clicks Run while messages are held; returns the spec of the run that this started."""
    before = store.count_runs(app.db)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_timeout(300)  # until the click has reached the server
    connection.release()
    page.wait_for_url("**/jit?*run=*")
    wait_for(lambda: store.count_runs(app.db) == before + 1)
    [run] = store.list_runs(app.db, limit=1)
    store.request_cancel(app.db, run["id"])
    return run["spec"]


def test_run_takes_the_preset_that_the_form_shows_before_the_url_has_arrived(slow_page, app):
    page, connection = slow_page
    open_form(page, app)
    connection.holds = lambda message: message.WhichOneof("type") == "page_info_changed"
    page.get_by_test_id("stButtonGroup").get_by_text("quick", exact=True).click()
    expect(page.get_by_role("textbox", name="Batch sizes")).to_have_value("16,64")
    wait_for(lambda: page.evaluate("1") and connection.held)
    assert run_and_release(page, connection, app)["batch"] == [16, 64]


def test_run_takes_the_selected_preset_before_the_form_shows_it(slow_page, app):
    page, connection = slow_page
    open_form(page, app)
    connection.holds = lambda message: True
    page.get_by_test_id("stButtonGroup").get_by_text("quick", exact=True).click()
    wait_for(lambda: page.evaluate("1") and connection.holds_type("script_finished"))
    assert page.get_by_role("textbox", name="Batch sizes").input_value() == "16,32,64,128"
    spec = run_and_release(page, connection, app)
    assert spec == {**jit.preset("quick").model_dump(mode="json"), "device": "CPU"}
