"""From the names in a table to files: Unicode forms, slashes, absolute paths, folders."""

import unicodedata
from pathlib import Path

import pytest

from model.data.importing.findings import Findings
from model.data.importing.listing import Listing
from model.data.importing.locating import Finder

NFC, NFD = (unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD"))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "photos"


class Found:
    """What a name in a table leads to."""

    def __init__(self, root: Path, name: str, table: Path | None = None):
        listing, self.findings = Listing(root), Findings()
        file = Finder(listing, table or root / "t.csv", self.findings).find(name, "t.csv, line 2")
        self.file = None if file is None else listing.files[file]

    @property
    def refusal(self) -> tuple[str, str]:
        (defect,) = self.findings.defects
        assert defect.name.startswith("t.csv, line 2: ")
        return defect.kind, defect.text


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("on_disk", [NFC, NFD])
@pytest.mark.parametrize("in_table", [NFC, NFD])
def test_a_name_is_found_in_either_unicode_form(root, on_disk, in_table):
    put(root / on_disk / f"{on_disk}.jpg")
    assert Found(root, f"{in_table}/{in_table}.jpg").file == f"{on_disk}/{on_disk}.jpg"


def test_of_two_files_that_read_the_same_the_one_of_those_very_bytes_is_meant(root):
    put(root / f"{NFC}.jpg")
    put(root / f"{NFD}.jpg")
    assert Found(root, f"{NFD}.jpg").file == f"{NFD}.jpg"
    assert Found(root, f"{NFC}.jpg").file == f"{NFC}.jpg"


def test_names_start_at_the_table_then_at_the_folder_then_at_a_folder_in_it(root):
    put(root / "sets" / "1.jpg")
    assert Found(root, "1.jpg").file == "sets/1.jpg"
    put(root / "1.jpg")
    assert Found(root, "1.jpg").file == "1.jpg"
    put(root / "deep" / "lists" / "1.jpg")
    assert Found(root, "1.jpg", root / "deep" / "lists" / "t.csv").file == "deep/lists/1.jpg"
    assert Found(root, "./sets//1.jpg").file == "sets/1.jpg"


def test_a_name_that_may_be_several_files_is_refused(root):
    put(root / "a" / "1.jpg")
    put(root / "b" / "1.jpg")
    assert Found(root, "1.jpg").refusal == ("ambiguous", "there are several: a/1.jpg, b/1.jpg; write the folder with the name")


def test_an_absolute_path_within_the_folder_is_taken(root):
    path = put(root / "a" / "1.jpg")
    assert Found(root, str(path)).file == "a/1.jpg"


def test_an_absolute_path_elsewhere_is_refused_even_if_it_exists(root, tmp_path):
    root.mkdir()
    kind, text = Found(root, str(put(tmp_path / "secret.jpg"))).refusal
    assert kind == "absolute path"
    assert "relative" in text


@pytest.mark.parametrize("name", [r"C:\Users\ann\photos\a\1.jpg", "c:/photos/a/1.jpg", r"\\server\share\a\1.jpg"])
def test_an_absolute_windows_path_is_refused_with_what_to_write(root, name):
    put(root / "a" / "1.jpg")
    kind, text = Found(root, name).refusal
    assert kind == "absolute path"
    assert "Windows" in text
    assert "such as a/1.jpg" in text


def test_backslashes_part_folders_where_no_file_bears_them_in_its_name(root):
    put(root / "a" / "1.jpg")
    assert Found(root, r"a\1.jpg").file == "a/1.jpg"
    put(root / r"a\1.jpg")
    assert Found(root, r"a\1.jpg").file == r"a\1.jpg"


@pytest.mark.parametrize("name", ["../secret.jpg", "a/../../secret.jpg", r"..\secret.jpg", "a/.."])
def test_a_way_up_is_refused(root, tmp_path, name):
    put(root / "a" / "1.jpg")
    put(tmp_path / "secret.jpg")
    kind, text = Found(root, name).refusal
    assert kind == "link out of the folder"
    assert ".." in text


def test_a_link_out_of_the_folder_is_refused(root, tmp_path):
    root.mkdir()
    (root / "out.jpg").symlink_to(put(tmp_path / "secret.jpg"))
    (root / "away").symlink_to(tmp_path)
    assert Found(root, "out.jpg").refusal[0] == "link out of the folder"
    assert Found(root, "away/secret.jpg").refusal[0] == "link out of the folder"


@pytest.mark.parametrize("name", ["https://example.org/1.jpg", "s3://bucket/1.jpg", "file:///etc/passwd"])
def test_an_address_is_refused_and_never_fetched(root, name):
    root.mkdir()
    assert Found(root, name).refusal[0] == "address"


def test_of_a_missing_file_the_one_of_other_capitals_is_named(root):
    put(root / "A" / "1.JPG")
    assert Found(root, "a/1.jpg").refusal == ("missing", "there is A/1.JPG: capitals matter")
    assert "names start at" in Found(root, "a/2.jpg").refusal[1]


@pytest.mark.parametrize("name", [".git/1.jpg", "@eaDir/1.jpg", "a/._1.jpg"])
def test_a_file_managers_file_is_no_sample(root, name):
    put(root / name)
    assert Found(root, name).refusal[0] == "invalid name"


@pytest.mark.parametrize("name", [".", "/"])
def test_a_name_of_no_file_is_refused(root, name):
    root.mkdir()
    assert Found(root, name).refusal[0] in {"missing", "absolute path"}


def test_a_folder_is_no_image(root):
    put(root / "a" / "1.jpg")
    assert Found(root, "a").refusal[0] == "nested folder"


def test_one_file_under_two_names_is_entered_once(root):
    put(root / "a" / "1.jpg")
    listing = Listing(root)
    finder = Finder(listing, root / "t.csv", Findings())
    assert {finder.find(name, "t.csv") for name in ("a/1.jpg", "./a/1.jpg", "1.jpg", str(root / "a/1.jpg"))} == {0}
    assert len(listing.files) == 1
