"""Zip files whose bytes depend on their members alone."""

import io
import zipfile
from collections.abc import Mapping

TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


def deterministic_zip(members: Mapping[str, bytes]) -> bytes:
    """A compressed zip of `members` (name to content), in their order. Equal members give equal bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, TIMESTAMP), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
