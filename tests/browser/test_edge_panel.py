"""The edge experiment's program in a real browser: test images and a drawing are classified in the page."""

import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from experiments.models.data.mnist import mnist

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOOPBACK = {"127.0.0.1"}


@pytest.fixture(scope="module")
def run_id(app):
    """A quick run of edge in the app's database."""
    command = [sys.executable, "-m", "experiments", "run", "edge", "--preset", "quick", "device=CPU"]
    environment = os.environ | {"TINYLAB_DATABASE": app.database, "TMPDIR": str(app.log.parent)}
    environment |= {"TINYLAB_LOCKS": str(app.log.parent / "locks")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def test_the_program_classifies_test_images_and_a_drawing_with_no_network(visitor, run_id):
    came = visitor()
    page = came.open(f"/edge?run={run_id}")
    digit = page.locator(".digit")
    expect(digit).to_have_text("–")
    expect(page.get_by_role("button", name="Download the C program (zip)")).to_be_visible()
    expect(page.get_by_role("button", name="Bundle")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    for label in mnist().test.labels[:4]:
        page.get_by_role("button", name="Next test image").click()
        expect(digit).to_have_text(str(label))
    expect(page.locator(".words")).to_contain_text("correct: test image 4")
    expect(page.locator(".time")).to_contain_text("µs a call in this browser")
    page.get_by_role("button", name="Clear").click()
    expect(digit).to_have_text("–")

    box = page.locator("canvas[role=img]").bounding_box()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + 210, steps=12)
    page.mouse.up()
    expect(digit).to_have_text("1")
    assert came.hosts == LOOPBACK
    assert came.errors == []
