import json

import pytest


def test_no_data_sets_are_an_empty_list_and_the_home_that_was_looked_in(glocal, tmp_path):
    assert glocal("data", "list", "--json") == (0, "[]\n", "")
    code, out, error = glocal("data", "list")
    assert (code, out) == (0, "")
    assert error == f"No data sets in {tmp_path / 'home'}.\n  Another home: set GLOCAL_HOME to its absolute path.\n"
    code, out, error = glocal("data", "list", "photos")
    assert (code, out) == (3, "")
    assert f"Nothing was imported into {tmp_path / 'home'} yet." in error
    assert "GLOCAL_HOME" in error


def test_importing_a_folder_that_is_not_there_is_not_found(glocal):
    code, out, error = glocal("data", "import", "no/such/folder", "--name", "x")
    assert code in {2, 3}
    assert out == ""
    assert "There is no folder no/such/folder." in error


def test_a_folder_that_is_not_there_is_all_that_is_said_of_it(glocal):
    for source in ("two/photos@69e3ca2", "no such folder", "\u7a7a"):
        code, out, error = glocal("data", "import", source)
        assert (code, out) == (3, "")
        assert error.startswith(f"Error: There is no folder {source}.")
        assert "called" not in error


@pytest.mark.parametrize("words", [["list"], ["list", "photos"]])
def test_a_file_in_the_place_of_the_home_or_of_its_data_is_named(glocal, tmp_path, words):
    home = tmp_path / "home"
    home.write_text("mine")
    code, out, error = glocal("data", *words)
    assert (code, out) == (2, "")
    assert f"GLOCAL_HOME is {home}, which is a file." in error
    home.unlink()
    home.mkdir()
    (home / "data").write_text("mine")
    code, out, error = glocal("data", *words)
    assert (code, out) == (2, "")
    assert f"{home / 'data'} is a file, where Glocal keeps a folder." in error


def test_demo_leaves_a_folder_that_is_there_as_it_is(glocal, tmp_path):
    (tmp_path / "demo").mkdir()
    assert glocal("data", "demo", tmp_path / "demo") == (0, f"{tmp_path / 'demo'}\n", "")
    assert list((tmp_path / "demo").iterdir()) == []
    code, out, _ = glocal("data", "demo", tmp_path / "demo", "--json")
    assert (code, json.loads(out)) == (0, {"folder": str(tmp_path / "demo")})
