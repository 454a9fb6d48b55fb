"""`serve`: a model over HTTP; options and function are those of the model server."""

from argparse import Namespace

from experiments.server.options import add_options as add_options

__all__ = ["add_options", "execute"]


def execute(given: Namespace) -> int:
    """Serves until Ctrl-C; returns the exit code."""
    from experiments.server.serve import serve

    return serve(given)
