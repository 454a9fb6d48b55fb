"""Really runs experiments once per module, in a database of that module's own."""

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Whatever is run while this is set up goes to a database of its own; its URL."""
    folder = tmp_path_factory.mktemp("apart")
    with pytest.MonkeyPatch.context() as patch:
        made = f"sqlite:///{folder / 'runs.db'}"
        patch.setenv("TINYLAB_DATABASE", made)
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield made
