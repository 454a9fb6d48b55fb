"""What version 0.1 left behind, as `make_data.py` stored it."""

import gzip
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


def read_json(name: str) -> Any:
    """A JSON file of the data."""
    content = (DATA / name).read_bytes()
    return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)


RUNS: dict[str, Any] = read_json("runs.json")
FRAMES: dict[str, Any] = read_json("frames.json.gz")
