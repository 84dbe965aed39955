import pytest

from model.data.decoding.formats import DECODED
from model.data.importing.findings import Findings
from model.data.importing.folders import list_folders
from tests.support.sources import make_source

UNDECODED = ["tif", "tiff", "heic", "heif", "jxl", "jp2", "j2k", "dng", "CR2", "psd", "svg", "ico", "exr"]


@pytest.mark.parametrize("suffix", [*(name.lower() for name in DECODED), "jpg", "JPG", "jfif", "mpo", "apng", *UNDECODED])
def test_an_image_of_any_format_beside_the_class_folders_is_reported(tmp_path, suffix):
    root, findings = make_source(tmp_path / "photos"), Findings()
    (root / f"stray.{suffix}").write_bytes(b"x")
    assert len(list_folders(root, findings).files) == 8
    assert [(defect.kind, defect.name) for defect in findings.defects] == [("outside a class folder", f"stray.{suffix}")]


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "classes.txt", "labels.json", "photos.zip", "jpg"])
def test_other_files_beside_the_class_folders_are_no_defect(tmp_path, name):
    root, findings = make_source(tmp_path / "photos"), Findings()
    (root / name).write_bytes(b"x")
    list_folders(root, findings)
    assert findings.defects == []
