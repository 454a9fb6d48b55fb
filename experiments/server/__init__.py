"""A model server: HTTP, dynamic batching and one inference process. Started by `python -m experiments serve`."""

import importlib.util

PACKAGES = {"starlette": "starlette", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"}


def missing() -> str:
    """The first package that the server needs and that is not installed; empty if all are."""
    return next((package for name, package in PACKAGES.items() if importlib.util.find_spec(name) is None), "")
