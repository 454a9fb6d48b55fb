"""What this machine can run on, drawn by the real Streamlit without a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from experiments.bench.machine import devices
from experiments.bench.machine.environment import fingerprint, key
from experiments.bench.rows import Row
from experiments.machine.ceilings import ceilings
from experiments.runs import store
from experiments.runs.clock import format_time

PAGE = "from dashboard.pages import devices\ndevices.show()\n"
CAUSE = "no CUDA: libcuda.so.1 is missing [see](//evil)"
ROWS = [
    {"variant": "tinygrad", "what": "copy", "moved_bytes": 2**21, "gb_s": 40.0},
    {"variant": "numpy", "what": "copy", "moved_bytes": 2**21, "gb_s": 30.126},
    {"variant": "tinygrad", "what": "matmul", "n": 600, "gflops": 20.0},
    {"variant": "numpy", "what": "matmul", "n": 600, "gflops": 100.0},
]


@pytest.fixture
def here(monkeypatch):
    """Sets what the devices of this machine are: a CPU that works, unless told otherwise, and a broken CUDA."""

    def set_to(*probes):
        monkeypatch.setattr(devices, "candidates", lambda: list(probes))

    set_to(devices.Probe("CUDA", False, CAUSE), devices.Probe("CPU", True, "clang, x86_64,native"))
    return set_to


@pytest.fixture
def page(here):
    """Opens the page with the parameters of its URL."""

    def opened(**parameters):
        drawn = AppTest.from_string(PAGE, default_timeout=60)
        for name, text in parameters.items():
            drawn.query_params[name] = text
        return drawn.run()

    return opened


@pytest.fixture
def measured(db):
    """Writes a run of the ceilings experiment on this machine's CPU."""

    def add(rows=ROWS, status="done", facts=None, created=1_700_000_000.0):
        run_id = store.add_run(
            db,
            experiment="ceilings",
            spec=ceilings.preset("quick").model_dump(mode="json"),
            device="CPU",
            host="here",
            time_limit_s=1.0,
            created=created,
            fingerprint=key(facts or fingerprint("CPU")),
        )
        store.claim(db, run_id, "tester")
        batch = store.Batch()
        batch.rows = [Row(one) for one in rows]
        store.write(db, run_id, "tester", batch, 0, 0)
        store.finish(db, run_id, "tester", status, "")
        return run_id

    return add


def headings(page):
    return [one.value.removeprefix("#### ") for one in page.markdown if one.value.startswith("#### ")]


def texts(page):
    return [one.value for one in page.text]


def captions(page):
    return [one.value for one in page.caption]


def button(page, label):
    return next(one for one in page.button if one.label == label)


def test_a_device_that_does_not_work_shows_its_reason_as_text_and_offers_nothing(page, here):
    here(devices.Probe("CUDA", False, CAUSE))
    drawn = page()
    assert headings(drawn) == ["CUDA"]
    assert texts(drawn) == [CAUSE]
    assert any("does not work" in one.value for one in drawn.markdown)
    assert [one.label for one in drawn.button] == ["Try again"]


def test_a_device_that_works_shows_its_processor_and_renderer(page):
    drawn = page()
    assert headings(drawn) == ["CUDA", "CPU"]
    assert texts(drawn)[1] == f"{fingerprint('CPU')['cpu']}, clang, x86_64,native"
    assert any("on one core" in one for one in captions(drawn))


def test_without_ceilings_the_page_offers_to_measure_them(page):
    drawn = page()
    assert any(one.startswith("Ceilings not measured yet") for one in captions(drawn))
    assert not drawn.dataframe
    assert button(drawn, "Measure the ceilings")


@pytest.mark.parametrize(("device", "preset"), [("CPU", "standard"), ("CUDA", "gpu")])
def test_measure_queues_the_preset_of_that_device(page, here, db, device, preset):
    here(devices.Probe(device, True, "works"))
    button(page(), "Measure the ceilings").click().run()
    [run] = store.list_runs(db)
    wanted = ceilings.preset(preset).model_copy(update={"device": device})
    assert (run["experiment"], run["status"], run["device"]) == ("ceilings", store.QUEUED, device)
    assert run["spec"] == wanted.model_dump(mode="json")


def test_what_does_not_fit_into_memory_is_refused_in_one_line(page, db, monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda device: 1_000_000)
    drawn = page()
    button(drawn, "Measure the ceilings").click().run()
    [said] = [one.value for one in drawn.error]
    assert said.startswith("too large: the largest copy or product needs 0.5 GB; CPU has 0.0 GB free")
    assert store.count_runs(db) == 0


def test_measured_ceilings_are_shown_with_their_answer_and_date(page, measured):
    run_id = measured()
    drawn = page()
    [link] = drawn.get("page_link")
    assert (link.proto.label, link.proto.query_string) == (f"Measured {format_time(1_700_000_000.0)}", f"run={run_id}")
    assert any(one.value.startswith("CPU copies 40 GB/s at best (tinygrad)") for one in drawn.markdown)
    assert button(drawn, "Measure the ceilings again")


def test_the_table_has_a_line_per_point_and_a_column_per_maker(page, measured):
    measured()
    table = page().dataframe[0].value
    assert list(table) == ["point", "tinygrad", "numpy"]
    assert table.values.tolist() == [
        ["copy of 2,097,152 bytes [GB/s]", 40.0, 30.13],
        ["matmul 600 [GFLOP/s]", 20.0, 100.0],
    ]


def test_the_latest_ceilings_are_shown(page, measured):
    newest = measured(created=1_700_000_100.0)
    measured()
    [link] = page().get("page_link")
    assert link.proto.query_string == f"run={newest}"


def test_ceilings_of_another_machine_or_of_a_run_that_failed_are_not_shown(page, measured):
    measured(facts={**fingerprint("CPU"), "cpu": "another processor"})
    measured(status="failed")
    assert not page().get("page_link")


def test_markup_in_a_stored_row_is_shown_as_text(page, measured):
    measured([{**one, "variant": "[x](//evil)"} for one in ROWS])
    assert any(r"\[x\](//evil)" in one.value for one in page().markdown)


def test_the_emulator_in_python_is_shown_without_ceilings(page, here):
    here(devices.Probe("PYTHON", True, "works"))
    drawn = page()
    assert headings(drawn) == ["PYTHON"]
    assert [one.label for one in drawn.button] == ["Try again"]


def test_every_known_device_is_tried_when_asked_for_and_the_url_keeps_it(page, monkeypatch):
    monkeypatch.setattr(devices, "all_probes", lambda: [devices.Probe("METAL", False, "no such driver")])
    assert headings(page(all="true")) == ["METAL"]
    drawn = page()
    assert headings(drawn) == ["CUDA", "CPU"]
    drawn.toggle[0].set_value(True).run()
    assert headings(drawn) == ["METAL"]


def test_look_again_tries_the_devices_again(page, here):
    drawn = page()
    here(devices.Probe("CPU", True, "works now"))
    assert headings(drawn.run()) == ["CUDA", "CPU"]
    button(drawn, "Try again").click().run()
    assert headings(drawn) == ["CPU"]
