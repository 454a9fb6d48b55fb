"""`serve`: a model over HTTP; options and function are those of the model server."""

from experiments.server.serve import add_options as add_options
from experiments.server.serve import serve as execute

__all__ = ["add_options", "execute"]
