"""Real runs of experiments go to one database per test session, so that the ceilings are measured once."""

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the database that real runs share, and of its hardware locks."""
    return str(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def shared_database(shared_folder: str) -> Iterator[str]:
    """While a module's fixtures are set up, runs go to the shared database, not to a test's own; its URL."""
    with pytest.MonkeyPatch.context() as patch:
        url = f"sqlite:///{shared_folder}/runs.db"
        patch.setenv("TINYLAB_DATABASE", url)
        patch.setenv("TINYLAB_LOCKS", f"{shared_folder}/tinylab-locks")
        patch.setenv("TMPDIR", shared_folder)
        patch.setattr(tempfile, "tempdir", shared_folder)
        yield url
