"""A run that is carried elsewhere, opened there by its link, and read as a report without any network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dashboard import sharing
from experiments.bench.rows import Row, Sample
from experiments.compiler.jit import jit
from experiments.runs import store
from tests.browser.browser_tools import ROOT, Visitor, drawn, start_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SECONDS = [0.0012345678901234, 0.0022345678901234, 0.0032345678901234]


def made_run(db):
    """A stored JIT run with two rows whose numbers have all their digits."""
    spec = jit.preset("quick").model_dump(mode="json") | {"device": "CPU"}
    run_id = store.add_run(db, experiment="jit", spec=spec, device="CPU", host="afar", time_limit_s=9.0)
    assert store.claim(db, run_id, "tester")
    batch = store.Batch()
    same = {"model": "mlp3", "batch": 16, "baseline": "eager", "control_lo": 0.9, "control_hi": 1.1}
    eager = {**same, "variant": "eager", "latency_ms": 2.2345678901234, "verdict": "baseline", "ops": 1_000_000}
    replay = {
        **same,
        "variant": "jit",
        "latency_ms": 1 / 3,
        "speedup": 6.7,
        "speedup_lo": 6.5,
        "speedup_hi": 7.1,
        "verdict": "faster",
        "ops": 1_000_000,
    }
    batch.rows = [Row(eager, [Sample("block", 1, SECONDS)]), Row(replay, [Sample("block", 3, SECONDS)])]
    batch.changes = {"environment": {"cpu": "a processor far away", "load_average": 0.25}, "fingerprint": "abcdef"}
    store.write(db, run_id, "tester", batch, 0, 0)
    store.finish(db, run_id, "tester", "done", "done")
    return run_id


def command(url, *arguments):
    """The command line on a database."""
    environment = {"TINYLAB_DATABASE": url, "PATH": ""}
    asked = [sys.executable, "-m", "experiments", *arguments]
    return subprocess.run(asked, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def shown(page):
    """What a reader sees of a run: figures with their data, the answer, the facts of the machine."""
    figures = "one => one.map(each => each.data.map(trace => [trace.name, trace.x, trace.y, trace.error_y]))"
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page.locator("[data-testid=stDataFrame] td").first).to_be_attached()
    page.get_by_text("How it was measured").click()
    expect(page.locator("[data-testid=stJson]").last).to_contain_text("a processor far away")
    return {
        "figures": json.dumps(page.locator(".js-plotly-plot").evaluate_all(figures)),
        "answer": page.locator("h4").all_inner_texts(),
        "badges": page.locator(".stMarkdownBadge").all_inner_texts(),
        "tables": page.locator("[data-testid=stDataFrame] td").all_inner_texts(),
        "environment": page.locator("[data-testid=stJson]").all_inner_texts(),
    }


def copied(page):
    """What the button beside the link puts into the clipboard, as pasted by the keyboard."""
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), { id: 'pasted' }))")
    page.locator("#pasted").focus()
    page.keyboard.press("Control+v")
    text = page.locator("#pasted").input_value()
    page.locator("#pasted").evaluate("one => one.remove()")
    return text


def test_a_run_is_measured_here_carried_there_and_opened_by_its_link_with_the_same_digits(visitor, app, tmp_path):
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    run_id = made_run(store.engine(elsewhere))
    command(elsewhere, "export", run_id, "-o", str(tmp_path / "run.zip"))
    assert command(app.database, "import", str(tmp_path / "run.zip")).strip() == run_id
    here = visitor().open(f"/jit?run={run_id}")
    seen = shown(here)
    other = start_app(tmp_path, "--server.headless", "true", database=elsewhere)
    try:
        there = Visitor(here.context.browser, other)
        first = shown(there.open(f"/jit?run={run_id}"))
        there.context.close()
    finally:
        other.stop()
    assert [badge for badge in seen["badges"] if "imported" not in badge] == first["badges"]
    assert any("imported" in badge for badge in seen["badges"])
    assert "0.3333333333333333" in seen["tables"]
    assert len(seen["environment"]) == 2
    assert {**seen, "badges": 0} == {**first, "badges": 0}
    assert command(app.database, "runs", "--csv", "-", "--text", run_id) == command(elsewhere, "runs", "--csv", "-")


def test_a_report_opens_in_a_browser_without_network(visitor, app, tmp_path):
    run_id = made_run(app.db)
    page = visitor().open(f"/jit?run={run_id}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    report = tmp_path / "report.html"
    report.write_bytes(Path(download.value.path()).read_bytes())
    reader = visitor(offline=True)
    offline = reader.context.new_page()
    offline.goto(report.as_uri())
    expect(offline.locator(".js-plotly-plot")).to_have_count(2)
    expect(offline.get_by_text("a processor far away").first).to_be_visible()
    assert reader.hosts <= {None, ""}
    assert not reader.errors


def test_the_report_of_a_comparison_opens_in_a_browser_without_network(visitor, app, tmp_path):
    page = visitor().open(f"/compare?runs={made_run(app.db)},{made_run(app.db)}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    report = tmp_path / "comparison.html"
    report.write_bytes(Path(download.value.path()).read_bytes())
    reader = visitor(offline=True)
    offline = reader.context.new_page()
    offline.goto(report.as_uri())
    expect(offline.locator(".js-plotly-plot")).to_have_count(1)
    expect(offline.get_by_text("a processor far away").first).to_be_visible()
    assert reader.hosts <= {None, ""}
    assert not reader.errors


def test_a_comparison_is_opened_by_its_link_and_changed_by_its_axes(visitor, app):
    ids = [made_run(app.db), made_run(app.db)]
    page = visitor().open(f"/compare?runs={','.join(ids)}&x=variant&y=speedup")
    expect(page.locator(".js-plotly-plot")).to_have_count(1)
    page.get_by_role("combobox", name="y axis").click()
    page.get_by_role("option", name="latency_ms").click()
    page.wait_for_url("**y=latency_ms*")
    page.go_back()
    drawn(page)
    expect(page.get_by_role("combobox", name="y axis")).to_have_value("speedup")


def test_the_link_of_an_app_on_the_network_opens_in_a_colleagues_browser(chromium, tmp_path):
    if (address := sharing.network_address()) is None:
        pytest.skip("this machine has no network address")
    app = start_app(tmp_path, "--server.address", "0.0.0.0", "--server.headless", "true")  # noqa: S104
    try:
        run_id = made_run(app.db)
        mine = Visitor(chromium, app)
        page = mine.open(f"/jit?run={run_id}")
        link = copied(page)
        assert link.startswith(f"http://{address}:")
        assert link == page.locator("code").filter(has_text="?run=").inner_text().strip()
        colleague = chromium.new_context().new_page()
        colleague.goto(link)
        drawn(colleague)
        expect(colleague.locator(".js-plotly-plot").first).to_be_visible()
        assert shown(colleague) == shown(page)
        assert not colleague.evaluate("isSecureContext")  # where browsers give pages no clipboard
        assert copied(colleague) == link
        mine.context.close()
        colleague.context.close()
    finally:
        app.stop()
