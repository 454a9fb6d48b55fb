"""A packed network, its logits of some images, and servers for it."""

import contextlib
import http.client
import json

import numpy as np
import pytest

from experiments.models.format.packed import pack
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import mlp
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.post_training import quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.server.launch import ServerProcess

STUBS = "tests.experiments.server.stub_engines"


class Served:
    """A network, images with their logits, and the files of both."""

    def __init__(self, folder):
        network = mlp()
        self.quantized = quantize(network, initial_weights(network, 3), QuantSpec("float32"), None)
        self.images = np.random.default_rng(0).random((64, 784), dtype=np.float32)
        self.logits = logits_numpy(self.quantized, self.images)
        self.model, self.payload = folder / "model.tinylab", folder / "payload.npz"
        self.model.write_bytes(pack(self.quantized))
        np.savez(self.payload, images=self.images, logits=self.logits)

    @contextlib.contextmanager
    def server(self, engine, *options):
        """A server that is ready, whose inference process computes with a stub."""
        server = ServerProcess(self.model, "--device", "CPU", "--engine", f"{STUBS}:{engine}", *options)
        try:
            server.wait()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    return Served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def ask():
    """Sends one request on a new connection; status, headers and body."""

    def asked(port, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    return asked


@pytest.fixture(scope="session")
def still_correct(served, ask):
    """Asserts that a server now answers correctly."""

    def check(port):
        body = json.dumps({"inputs": served.images[:2].tolist()})
        status, _, answer = ask(port, "POST", "/predict", body)
        assert status == 200, answer
        answered = json.loads(answer)
        assert np.allclose(answered["outputs"], served.logits[:2], atol=1e-4)
        assert answered["classes"] == served.logits[:2].argmax(axis=1).tolist()

    return check
