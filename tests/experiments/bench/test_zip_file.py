import io
import zipfile

from experiments.bench.zip_file import deterministic_zip


def test_equal_members_give_equal_bytes_that_contain_them():
    members = {"run.json": b"{}", "artifacts/a": bytes(1000)}
    packed = deterministic_zip(members)
    assert packed == deterministic_zip(dict(members))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
