"""The real server over loopback with an engine that needs no compiler: correct answers, whatever clients do."""

import json
import os
import signal
import socket
import threading
import time

import numpy as np
import pytest

from experiments.deployment.serving.generator import generate
from experiments.deployment.serving.loads import LoadPlan
from experiments.deployment.serving.results import latencies_ms, summary

RAW = "application/octet-stream"
DEADLINE_MS = 2500
WHOLE = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 3136\r\n\r\n"


@pytest.fixture(scope="module")
def port(served):
    options = ("--max-batch", "8", "--queue", "32", "--max-wait-ms", "0", "--deadline-ms", str(DEADLINE_MS))
    with served.server("numpy_engine", *options) as server:
        yield server.port


def rows(*values):
    return json.dumps({"inputs": values})


def metric(port, ask, name):
    """One value of /metrics."""
    lines = ask(port, "GET", "/metrics")[2].decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"tinylab_{name} "))


def test_json_is_answered_with_logits_and_classes(port, still_correct):
    still_correct(port)


def test_raw_float32_is_answered_with_raw_float32(port, served, ask):
    status, headers, answer = ask(port, "POST", "/predict", served.images[:3].tobytes(), RAW)
    assert (status, headers["content-type"]) == (200, RAW)
    assert np.allclose(np.frombuffer(answer, "<f4").reshape(3, 10), served.logits[:3], atol=1e-4)


def test_an_answer_has_the_parts_of_its_latency(port, served, ask):
    _, headers, _ = ask(port, "POST", "/predict", served.images[:1].tobytes(), RAW)
    assert [part.split(";")[0].strip() for part in headers["server-timing"].split(",")] == [
        *("queue", "gather", "handover", "compute")
    ]
    assert headers["x-batch-rows"] == "1"


FLAT = [0.5] * 784


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"{", "application/json", 400, "the body is not valid JSON"),
        (b"\xff\xfe", "application/json", 400, "the body is not valid JSON"),
        (b"[" * 100_000, "application/json", 400, "the body is not valid JSON"),
        (b"", "application/json", 400, "the body is not valid JSON"),
        (b"[1, 2]", "application/json", 422, "the body is not an object"),
        (b"{}", "application/json", 422, 'exactly one field, "inputs"'),
        (rows(), "application/json", 422, "the body has no rows"),
        (json.dumps({"inputs": FLAT}), "application/json", 422, "not a list of lists of 784 numbers"),
        (rows(FLAT, FLAT[:-1]), "application/json", 422, "row 1 has 783 numbers; the network takes 784"),
        (rows([*FLAT[:-1], "7"]), "application/json", 422, "row 0 holds a value that is not a number"),
        (rows([*FLAT[:-1], True]), "application/json", 422, "row 0 holds a value that is not a number"),
        (rows([*FLAT[:-1], float("nan")]), "application/json", 422, "NaN is not finite"),
        (rows([*FLAT[:-1], float("-inf")]), "application/json", 422, "-Infinity is not finite"),
        (rows([*FLAT[:-1], 1e300]), "application/json", 422, "not finite in float32"),
        (rows([*FLAT[:-1], 10**400]), "application/json", 422, "not finite in float32"),
        (rows(*[FLAT] * 9), "application/json", 413, "the request has 9 rows; at most 8"),
        (b"1,2", "text/csv", 415, "the content type text/csv is not supported"),
        (b"", RAW, 422, "the body has no rows"),
        (bytes(3135), RAW, 422, "3135 bytes are not a whole number of rows of 784 float32"),
        (np.full(784, np.nan, "<f4").tobytes(), RAW, 422, "not finite"),
    ],
)
def test_a_bad_body_gets_an_error_with_its_reason_and_the_next_request_an_answer(
    port, ask, still_correct, body, kind, status, reason
):
    seen, headers, answer = ask(port, "POST", "/predict", body, kind)
    assert (seen, headers["content-type"]) == (status, "application/json")
    assert reason in json.loads(answer)["error"]
    still_correct(port)


def test_a_body_of_100_megabytes_is_refused(port, ask, still_correct):
    status, _, answer = ask(port, "POST", "/predict", bytes(100_000_000), RAW)
    assert status == 413
    assert json.loads(answer)["error"] == "the body has 100,000,000 bytes; at most 25,088 are accepted"
    still_correct(port)


def test_an_incomplete_body_gets_an_error_while_other_requests_are_answered(port, still_correct):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as waiting:
        waiting.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3136\r\n\r\n" + bytes(100))
        still_correct(port)
        answer = b"".join(iter(lambda: waiting.recv(65536), b""))  # to the end: the server closes the connection
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body was not complete within 2500 ms" in answer


def test_clients_that_disconnect_do_not_disturb_others(port, served, still_correct):
    for sent in (WHOLE, WHOLE + bytes(10), WHOLE + served.images[0].tobytes()):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port)) as leaving:
                leaving.sendall(sent)
    still_correct(port)


@pytest.mark.parametrize(("path", "status"), [("/predict", 405), ("/nothing", 404)])
def test_an_unknown_path_or_method_gets_an_error_that_lists_the_endpoints(port, ask, path, status):
    seen, headers, answer = ask(port, "GET", path)
    assert (seen, headers["content-type"]) == (status, "application/json")
    assert "available: POST /predict" in json.loads(answer)["error"]


def test_curls_default_content_type_is_read_as_json(port, served, ask):
    kind = "application/x-www-form-urlencoded"
    status, headers, answer = ask(port, "POST", "/predict", rows(served.images[0].tolist()), kind)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(answer)["classes"] == [int(served.logits[0].argmax())]


def test_health_ready_and_metrics_report_the_state(port, ask, still_correct):
    still_correct(port)
    assert ask(port, "GET", "/health")[0] == 200
    status, _, ready = ask(port, "GET", "/ready")
    assert status == 200
    assert [one["batch"] for one in json.loads(ready)["buckets"]] == [1, 2, 4, 8]
    _, headers, text = ask(port, "GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    assert float(values["tinylab_ready"]) == 1
    assert float(values['tinylab_requests_total{status="200"}']) >= 1
    assert float(values["tinylab_batch_rows_sum"]) >= 2
    assert float(values["tinylab_queue_length"]) == 0


def test_every_request_of_a_burst_is_answered_or_rejected(port, served, ask, still_correct):
    records = generate(LoadPlan(port, "offline", clients=200, requests=10_000, timeout_s=60), served.payload)
    assert len(records) == 10_000
    assert set(records["status"]) == {200, 503}
    assert summary(records, 1e9, 1e-4)["errors"] == 0
    still_correct(port)


def test_a_killed_inference_process_is_replaced_and_requests_get_an_answer_or_503(port, served, ask, still_correct):
    seen = []
    load = threading.Thread(
        target=lambda: seen.append(generate(LoadPlan(port, "closed", clients=16, seconds=1.5), served.payload))
    )
    before = json.loads(ask(port, "GET", "/ready")[2])
    answered = metric(port, ask, "batch_rows_count")
    load.start()
    while metric(port, ask, "batch_rows_count") < answered + 20:
        time.sleep(0.01)
    os.kill(before["pid"], signal.SIGKILL)
    stati = set()
    for _ in range(600):
        status, _, ready = ask(port, "GET", "/ready")
        stati.add(status)
        if status == 200 and json.loads(ready)["starts"] > before["starts"]:
            break
        time.sleep(0.02)
    load.join()
    assert stati >= {200, 503}
    assert json.loads(ready)["pid"] != before["pid"]
    [records] = seen
    assert set(records["status"]) <= {200, 503}
    assert (records["status"] == 200).any()
    still_correct(port)


def test_a_rejected_request_gets_retry_after(served, ask):
    with served.server("slow_engine", "--max-batch", "1", "--queue", "1") as server:
        answers = []
        body = served.images[:1].tobytes()
        askers = [
            threading.Thread(target=lambda: answers.append(ask(server.port, "POST", "/predict", body, RAW)))
            for _ in range(6)
        ]
        for one in askers:
            one.start()
        for one in askers:
            one.join()
    refused = [(headers["retry-after"], answer) for status, headers, answer in answers if status == 503]
    assert refused
    assert all(after == "1" and b"requests are waiting" in answer for after, answer in refused)
    assert any(status == 200 for status, _, _ in answers)


def test_accepted_requests_are_answered_before_a_graceful_shutdown(served, ask):
    with served.server("slow_engine", "--max-batch", "1") as server:
        answers = []
        body = served.images[:1].tobytes()
        askers = [
            threading.Thread(target=lambda: answers.append(ask(server.port, "POST", "/predict", body, RAW)))
            for _ in range(2)
        ]
        for one in askers:
            one.start()
        while not metric(server.port, ask, "queue_length"):  # one is computed, one waits
            time.sleep(0.005)
        server.process.send_signal(signal.SIGTERM)
        for one in askers:
            one.join()
        assert server.process.wait(30) == 0
        assert server.process.stdout.read() == server.process.stderr.read() == ""  # no line for a request
    assert [status for status, _, _ in answers] == [200, 200]
    assert all(np.allclose(np.frombuffer(answer, "<f4"), served.logits[0], atol=1e-4) for _, _, answer in answers)


@pytest.mark.slow
def test_a_stall_delays_every_request_scheduled_during_it(served):
    with served.server("stalling_engine", "--max-batch", "1") as server:
        records = generate(LoadPlan(server.port, "open", clients=8, rate_per_s=150, seconds=1.5), served.payload)
    assert summary(records, 10, 1e-4)["p99_ms"] >= 150
    assert (latencies_ms(records) >= 100).sum() >= 8  # some 15 were due in its first half
