"""Archives: reproducible, hashed, and refused where they are hostile."""

import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from model.errors import InvalidInput, NotFound
from model.release import open_release
from serving.archive import (
    build_archive,
    check_archive,
    is_wrapped,
    pack_again,
    remove_archive,
    stored_archive,
    unpack_release,
    verify_archive,
)
from tests.support.releases import make_release

WRAPPING = {"handler.py": b"handler", "MAR-INF/MANIFEST.json": b"{}"}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("archive") / "release")


@pytest.fixture(scope="module")
def archive(release, tmp_path_factory):
    return build_archive(release, tmp_path_factory.mktemp("store"), name="glocal", version="3", wrapping=WRAPPING)


def test_the_same_release_gives_the_same_bytes(release, archive, tmp_path):
    again = build_archive(release, tmp_path, name="glocal", version="3", wrapping=WRAPPING)
    assert again.path.read_bytes() == archive.path.read_bytes()
    assert again.sha256 == archive.sha256


def test_the_whole_release_is_inside(release, archive):
    names = zipfile.ZipFile(archive.path).namelist()
    below = {name.removeprefix("release/") for name in names if name.startswith("release/")}
    assert below == {*release.manifest.files, "manifest.json"}
    assert set(names) - {f"release/{name}" for name in below} == {"handler.py", "MAR-INF/MANIFEST.json"}


def test_a_whole_archive_of_the_same_release_and_wrapping_is_used_again(release, archive, tmp_path):
    _copy(archive, tmp_path)
    named = {"name": "glocal", "version": "3"}
    assert stored_archive(release, tmp_path, **named, wrapping=WRAPPING).sha256 == archive.sha256
    assert stored_archive(release, tmp_path, **named, wrapping={}) is not None  # a server that needs nothing beside the release
    assert stored_archive(release, tmp_path, **named, wrapping=WRAPPING | {"handler.py": b"new"}) is None
    assert stored_archive(release, tmp_path, name="glocal", version="4", wrapping=WRAPPING) is None
    assert stored_archive(make_release(tmp_path / "other", seed=1), tmp_path, **named, wrapping=WRAPPING) is None


@pytest.mark.parametrize("data", [b"", b"PK", None])
def test_a_damaged_archive_is_not_used_again(release, archive, tmp_path, data):
    copy = _copy(archive, tmp_path)
    copy.write_bytes(data) if data is not None else copy.unlink()
    assert stored_archive(release, tmp_path, name="glocal", version="3", wrapping=WRAPPING) is None


def test_an_archive_is_packed_again_with_another_wrapping_and_the_same_release(release, archive, tmp_path):
    _copy(archive, tmp_path)
    wrapping = {"other.py": b"other"}
    again = pack_again(verify_archive(tmp_path / archive.path.name), name="glocal", version="3", wrapping=wrapping)
    assert (is_wrapped(again, wrapping), is_wrapped(again, WRAPPING)) == (True, False)
    assert verify_archive(again.path, again.sha256) == again
    assert open_release(unpack_release(again.path, tmp_path / "unpacked")).id == release.id
    assert [path.name for path in (tmp_path / "unpacked").iterdir()] == ["release"]


def test_a_good_archive_is_verified(archive):
    assert verify_archive(archive.path, archive.sha256) == archive


def test_a_changed_archive_is_refused(archive, tmp_path):
    copy = _copy(archive, tmp_path)
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    with pytest.raises(InvalidInput, match="was changed"):
        verify_archive(copy)


def test_an_archive_other_than_the_recorded_one_is_refused(archive, tmp_path):
    with pytest.raises(InvalidInput, match="was changed"):
        verify_archive(_copy(archive, tmp_path), "0" * 64)


def test_an_archive_whose_hash_was_damaged_is_refused(archive, tmp_path):
    copy = _copy(archive, tmp_path)
    side = copy.with_name(copy.name + ".sha256")
    side.write_bytes(b"\xff" + side.read_bytes()[1:])  # no UTF-8
    with pytest.raises(InvalidInput, match="was changed"):
        verify_archive(copy)


def test_an_archive_without_its_hash_is_not_found(archive, tmp_path):
    copy = _copy(archive, tmp_path)
    copy.with_name(copy.name + ".sha256").unlink()
    with pytest.raises(NotFound):
        verify_archive(copy)


def test_removing_twice_is_no_error(archive, tmp_path):
    copy = _copy(archive, tmp_path)
    remove_archive(copy)
    remove_archive(copy)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "version"), [("../x", "1"), ("a/b", "1"), ("a", "../1"), ("a", ""), ("", "1"), ("a", "1/2")])
def test_names_that_could_leave_the_store_are_refused(release, tmp_path, name, version):
    with pytest.raises(InvalidInput, match="cannot be served as"):
        build_archive(release, tmp_path, name=name, version=version, wrapping=WRAPPING)
    assert list(tmp_path.iterdir()) == []


def test_a_release_that_was_damaged_since_it_was_opened_is_not_packed(release, tmp_path):
    opened = open_release(Path(shutil.copytree(release.folder, tmp_path / "release")))
    (opened.folder / "extra.txt").write_text("x")
    with pytest.raises(InvalidInput, match=r"extra\.txt"):
        build_archive(opened, tmp_path / "store", name="glocal", version="1", wrapping=WRAPPING)
    assert not list(tmp_path.rglob("*.mar"))


def test_a_release_that_was_replaced_since_it_was_opened_is_not_packed(release, tmp_path):
    opened = open_release(Path(shutil.copytree(release.folder, tmp_path / "release")))
    shutil.rmtree(opened.folder)
    make_release(opened.folder, seed=1)
    with pytest.raises(InvalidInput, match="was changed"):
        build_archive(opened, tmp_path / "store", name="glocal", version="1", wrapping=WRAPPING)
    assert not list(tmp_path.rglob("*.mar"))


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:evil", "a\\..\\evil", "a\nb"])
def test_entries_outside_the_folder_are_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="outside its folder"):
        check_archive(_zip(tmp_path, {name: b"x"}))
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.mar"]


def test_nothing_is_written_outside_even_by_an_archive_that_was_not_verified(tmp_path):
    path = _zip(tmp_path, {"release/../../evil": b"x", "release/link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    (tmp_path / "unpacked").mkdir()
    unpack_release(path, tmp_path / "unpacked" / "here")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["hostile.mar", "unpacked"]
    assert [each.name for each in (tmp_path / "unpacked").iterdir()] == ["here"]
    assert not any(each.is_symlink() for each in tmp_path.rglob("*"))


def test_links_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="link"):
        check_archive(_zip(tmp_path, {"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777))


def test_a_zip_bomb_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="far more than it holds"):
        check_archive(_zip(tmp_path, {"bomb": bytes(50 * 2**20)}, compression=zipfile.ZIP_DEFLATED))


def test_a_size_that_lies_is_refused(tmp_path):
    path = _zip(tmp_path, {"lie": bytes(range(256)) * 64})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (5).to_bytes(4, "little")  # the directory says five bytes
    path.write_bytes(data)
    with pytest.raises(InvalidInput):
        check_archive(path)


def test_too_many_entries_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="entries, more than"):
        check_archive(_zip(tmp_path, {f"e{number}": b"" for number in range(10_001)}))


def test_a_total_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.archive.MAX_TOTAL", 1000)
    with pytest.raises(InvalidInput, match="unpacks to more than 1000 bytes"):
        check_archive(_zip(tmp_path, {"a": bytes(600), "b": bytes(600)}))


def test_two_entries_of_one_name_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="two entries of one name"):
        check_archive(_zip(tmp_path, {"handler.py": b"x", "Handler.py": b"y"}))


def test_an_entry_that_the_directory_hides_is_refused(tmp_path):
    """Java reads from front to back and would extract it."""
    hidden = (tmp_path / "hidden.zip", {"../evil": b"x"})
    with zipfile.ZipFile(hidden[0], "w") as archive:
        archive.writestr("../evil", b"x")
    front = hidden[0].read_bytes().split(b"PK\x01\x02")[0]
    path = _zip(tmp_path, {"good": b"y"})
    path.write_bytes(front + path.read_bytes())  # zip readers shift offsets by what is put in front
    with pytest.raises(InvalidInput):
        check_archive(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x1f\x8b tar.gz", b"x" * 1000])
def test_what_is_no_zip_is_refused(tmp_path, data):
    (tmp_path / "x.mar").write_bytes(data)
    with pytest.raises(InvalidInput, match="is no archive"):
        check_archive(tmp_path / "x.mar")


def _copy(archive, folder):
    copy = folder / archive.path.name
    copy.write_bytes(archive.path.read_bytes())
    side = archive.path.name + ".sha256"
    (folder / side).write_text((archive.path.parent / side).read_text())
    return copy


@pytest.mark.filterwarnings("ignore:Duplicate name")
def _zip(folder, entries, *, mode=stat.S_IFREG | 0o644, compression=zipfile.ZIP_STORED):
    path = folder / "hostile.mar"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.filename = name  # as given, not as tidied
            entry.external_attr = mode << 16
            entry.compress_type = compression
            archive.writestr(entry, data)
    return path
