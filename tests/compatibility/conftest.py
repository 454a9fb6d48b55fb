"""The data of version 0.1 as fixtures: each test gets copies in its own folder, and the data itself stays as it is."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from tests.compatibility import internals
from tests.compatibility.old_data import DATA


@pytest.fixture
def old_database(url: str) -> Path:
    """A copy of the database of version 0.1, which is the database of this test."""
    file = Path(url.removeprefix("sqlite:///"))
    file.write_bytes(gzip.decompress((DATA / "runs.db.gz").read_bytes()))
    return file


@pytest.fixture
def old_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cache of version 0.1, which is the cache of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = internals.cache_folder()
    with zipfile.ZipFile(io.BytesIO((DATA / "cache.zip").read_bytes())) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pages open without a runner and without a look for devices."""
    internals.measure_nothing(monkeypatch)
    yield
    st.cache_resource.clear()
