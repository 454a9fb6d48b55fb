"""The app in a real browser, from the first visit to the CSV file. All tests share one app and one quick run."""

import io
import time
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import expect

from dashboard.safe_render import WORD_JOINER
from experiments.compiler.jit import jit
from experiments.runs import frames, store
from tests.browser.browser_tools import Visitor, drawn, start_app, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG = "/jit?batch=16&widths=32,16,16,10&calls=3&half_width=0.001&budget_s=600"
LOOPBACK = {"127.0.0.1"}


def run_button(page):
    return page.get_by_role("button", name="Run", exact=True)


def batch_field(page):
    return page.get_by_role("textbox", name="Batch sizes")


def badge(page, text):
    return page.locator(".stMarkdownBadge").filter(has_text=text)


def alert(page, text):
    return page.get_by_test_id("stAlert").filter(has_text=text)


def figure(page, title):
    """The drawn figure that screen readers know by this title."""
    return page.locator(f"[aria-label^='{title}. '] .js-plotly-plot")


def traces(page, title):
    return figure(page, title).evaluate("one => one.data.map(trace => trace.name)")


def run_of(page):
    """The id of the run in the page's URL, awaited."""
    page.wait_for_url("**/jit?run=*")
    return page.url.partition("run=")[2]


def csv(page, what):
    """The content of the file behind one of the download buttons."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"CSV: {what}").click()
    return Path(download.value.path()).read_bytes()


def width_of_content(page):
    return page.evaluate("document.scrollingElement.scrollWidth")


def background(page):
    return page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")


def brightness(page):
    """0 is black, 255 is white."""
    return sum(int(part) for part in background(page).strip("rgba()").split(",")[:3]) / 3


@pytest.fixture(scope="module")
def quick(chromium, app):
    """The id of a quick run that a visitor started by preset and Run, followed until it was done."""
    visitor = Visitor(chromium, app)
    page = visitor.open("/jit")
    page.get_by_test_id("stButtonGroup").get_by_text("quick", exact=True).click()
    expect(batch_field(page)).to_have_value("16,64")
    run_button(page).click()
    run_id = run_of(page)
    ended = wait_for(lambda: (run := store.get_run(app.db, run_id))["status"] in store.ENDED and run)
    assert ended["status"] == "done", ended["message"]
    expect(badge(page, "done")).to_be_visible()
    visitor.context.close()
    return run_id


@pytest.fixture
def long_run(visitor, app):
    """A visitor's page with a run that would last for minutes; it is ended after the test."""
    page = visitor().open(LONG)
    run_button(page).click()
    run_id = run_of(page)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    wait_for(lambda: store.get_run(app.db, run_id)["status"] == store.RUNNING)
    yield page, run_id
    store.request_cancel(app.db, run_id)
    wait_for(lambda: store.get_run(app.db, run_id)["status"] in store.ENDED)


# the first visit


def test_the_first_start_prints_its_address_and_asks_nothing(app):
    said = app.log.read_text()
    assert app.address in said
    assert "mail" not in said.lower()


def test_the_first_page_offers_something_to_do(visitor):
    page = visitor().open()
    expect(page.get_by_role("button", name="Run the quick JIT preset")).to_be_enabled()
    expect(page.get_by_role("main").get_by_role("link", name="JIT", exact=True)).to_be_visible()


def test_absurd_text_shows_what_is_allowed_and_disables_run(visitor):
    page = visitor().open("/jit")
    batch_field(page).fill("1e9")
    batch_field(page).press("Enter")
    expect(alert(page, "batch: 1e9 is not allowed; give integers from 1 to 65536")).to_be_visible()
    expect(run_button(page)).to_be_disabled()
    batch_field(page).fill("16")
    batch_field(page).press("Enter")
    expect(run_button(page)).to_be_enabled()


# a quick run


def test_a_quick_run_ends_with_its_answer_figures_and_rows(visitor, app, quick):
    page = visitor().open(f"/jit?run={quick}")
    expect(page.get_by_text("On CPU, the JIT makes the 3-layer network")).to_be_visible()
    assert traces(page, "Latency") == ["eager", "jit"]
    assert traces(page, "Speedup against work per call") == ["jit"]
    assert traces(page, "The first calls") == ["eager", "jit: eager call", "jit: capture", "jit: replay"]
    assert traces(page, "Break-even of the capture") == ["eager", "jit"]
    expect(page.get_by_role("button", name=f"Search: Rows of run {quick}")).to_be_attached()
    assert len(store.read_rows(app.db, quick)) == 4


def test_figures_and_table_have_names_for_screen_readers(visitor, quick):
    page = visitor().open(f"/jit?run={quick}")
    expect(page.locator("[aria-label^='Latency. Median of one synchronized call']")).to_be_visible()
    expect(page.locator(f"[aria-label='Rows of run {quick}']")).to_be_visible()


def test_the_csv_is_the_table_of_the_run(visitor, app, quick):
    parsed = pd.read_csv(io.BytesIO(csv(visitor().open(f"/jit?run={quick}"), "rows")))
    stored = frames.rows_frame(app.db, store.get_run(app.db, quick), jit)
    assert list(parsed) == list(stored)
    assert parsed["variant"].tolist() == ["eager", "jit", "eager", "jit"]
    for name in ("batch", "latency_ms", "latency_lo_ms", "latency_hi_ms", "speedup", "first_call_ms"):
        assert parsed[name].astype("Float64").tolist() == stored[name].astype("Float64").tolist()


def test_the_csv_of_samples_has_as_many_timings_as_the_rows_say(visitor, app, quick):
    parsed = pd.read_csv(io.BytesIO(csv(visitor().open(f"/jit?run={quick}"), "samples")))
    blocks = parsed[parsed["kind"] == "block"].groupby("row").size().tolist()
    assert blocks == [row["samples"] for row in store.read_rows(app.db, quick)]


def test_a_permalink_shows_the_same_run_to_somebody_else(visitor, quick):
    mine = visitor().open(f"/jit?run={quick}")
    link = mine.get_by_test_id("stCode").get_by_text("run=").inner_text().strip()
    assert link == mine.url
    other = visitor().open(link.removeprefix(mine.url.partition("/jit")[0]))
    assert csv(mine, "rows") == csv(other, "rows")
    assert csv(mine, "timeline") == csv(other, "timeline")


def test_no_request_leaves_this_machine(visitor, quick):
    somebody = visitor()
    somebody.open()
    page = somebody.open(f"/jit?run={quick}")
    expect(figure(page, "Break-even of the capture")).to_be_visible()
    assert somebody.hosts == LOOPBACK


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_light_and_dark_follow_the_system_without_errors(visitor, quick, scheme, bright):
    somebody = visitor(color_scheme=scheme)
    for path in ("/", f"/jit?run={quick}"):
        page = somebody.open(path)
        assert (brightness(page) > 200) is bright
        assert (brightness(page) < 60) is not bright
    expect(figure(page, "Break-even of the capture")).to_be_visible()
    assert somebody.errors == []


def test_a_narrow_screen_does_not_scroll_sideways(visitor, quick):
    page = visitor(viewport={"width": 400, "height": 800}).open(f"/jit?run={quick}")
    expect(figure(page, "Break-even of the capture")).to_be_visible()
    assert width_of_content(page) <= 404
    page.get_by_text("Parameters", exact=True).click()
    expect(run_button(page)).to_be_visible()
    expect(page.get_by_role("button", name="CSV: rows")).to_be_attached()  # the page is drawn to its end
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    run_button(page).click(trial=True)  # scrolls there once the form has come to rest
    box = run_button(page).bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 400
    assert width_of_content(page) <= 404


def test_back_and_forward_keep_url_and_page_together(visitor, quick):
    page = visitor().open()
    page.get_by_role("link", name="JIT · CPU · done").first.click()
    expect(badge(page, "done")).to_be_visible()
    assert page.url.endswith(f"/jit?run={quick}")
    page.go_back()
    expect(page.get_by_role("heading", name="tinygrad lab")).to_be_visible()
    assert page.url.endswith("/")
    page.go_forward()
    expect(page.get_by_role("heading", name="JIT", exact=True)).to_be_visible()
    expect(badge(page, "done")).to_be_visible()
    assert page.url.endswith(f"/jit?run={quick}")
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_back_returns_to_the_form_as_it_was(visitor):
    page = visitor().open("/jit")
    presets = page.get_by_test_id("stButtonGroup")
    presets.get_by_text("quick", exact=True).click()
    page.wait_for_url("**/jit?*batch=16%2C64*")
    presets.get_by_text("launch_bound", exact=True).click()
    page.wait_for_url("**/jit?*model=tiny_layers*")
    expect(batch_field(page)).to_have_value("8")
    page.go_back()
    expect(batch_field(page)).to_have_value("16,64")
    assert "batch=16%2C64" in page.url
    page.go_back()
    expect(batch_field(page)).to_have_value("16,32,64,128")
    assert page.url.endswith("/jit")


# a run that did not end well


def test_a_failed_run_shows_its_reason_as_text(visitor, app):
    message = "RuntimeError: <img src=x onerror=alert(1)> [click](http://example.org) ![](http://example.org/x.png)"
    run_id = store.add_run(
        app.db,
        experiment="jit",
        spec=jit.preset("quick").model_dump(mode="json"),
        device="CPU",
        host="elsewhere",
        status="failed",
        finished=time.time(),
        message=message,
        traceback="Traceback (most recent call last)",
        time_limit_s=900.0,
    )
    somebody = visitor()
    page = somebody.open(f"/jit?run={run_id}")
    expect(alert(page, "No rows were measured.")).to_be_visible()
    said = page.get_by_test_id("stAlertContentError").inner_text().replace(WORD_JOINER, "")
    assert f"Failed: {message}. No rows were measured." in said
    assert page.get_by_test_id("stAlert").locator("img").count() == 0
    assert page.get_by_test_id("stAlert").get_by_role("link").count() == 0
    assert somebody.hosts == LOOPBACK
    page.get_by_text("Details", exact=True).click()
    expect(page.get_by_text("Traceback (most recent call last)")).to_be_visible()


# a run that goes on


def test_cancel_ends_a_run_and_its_page_shows_it(long_run, app):
    page, run_id = long_run
    page.get_by_role("button", name="Cancel").click()
    expect(alert(page, "Cancelled:")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert store.get_run(app.db, run_id)["status"] == "cancelled"
    wait_for(lambda: not app.children())


def test_a_reload_and_a_second_visitor_follow_the_same_run(long_run, visitor, app):
    page, run_id = long_run
    page.reload()
    drawn(page)
    other = visitor().open(f"/jit?run={run_id}")
    for one in (page, other):
        expect(badge(one, "running")).to_be_visible()
        assert run_of(one) == run_id
    assert store.count_runs(app.db, status=store.RUNNING) == 1
    other.get_by_role("button", name="Cancel").click()
    for one in (page, other):
        expect(alert(one, "Cancelled:")).to_be_visible()


def test_a_run_is_started_with_the_keyboard_alone(visitor, app):
    page = visitor().open(LONG)
    batch_field(page).focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip().endswith("Run"):
            break
    expect(run_button(page)).to_be_focused()
    page.keyboard.press("Enter")
    run_id = run_of(page)
    store.request_cancel(app.db, run_id)
    expect(alert(page, "Cancelled:")).to_be_visible()


# another app


def test_an_app_that_others_can_reach_shows_a_notice_and_stops_with_its_run(chromium, tmp_path):
    app = start_app(tmp_path, "--server.address", "0.0.0.0", "--server.headless", "false")  # noqa: S104
    try:
        visitor = Visitor(chromium, app)
        page = visitor.open(LONG)
        expect(alert(page, "This page is open to the network")).to_be_visible()
        run_button(page).click()
        wait_for(app.children)
        visitor.context.close()
    finally:
        app.stop()
    assert "mail" not in app.log.read_text().lower()
    wait_for(lambda: not app.children())
