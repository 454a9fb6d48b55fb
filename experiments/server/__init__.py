"""A model server: HTTP in front, dynamic batching, one process that infers: `python -m experiments serve`."""

import importlib.util

PACKAGES = {"starlette": "starlette", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"}


def missing() -> str:
    """The first package that the server needs and this machine lacks; empty where it has all of them."""
    return next((package for name, package in PACKAGES.items() if importlib.util.find_spec(name) is None), "")
