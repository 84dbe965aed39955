import pytest

from model.data.importing.dataset_name import changed_name, default_name, own_name
from model.errors import InvalidInput


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("shop/grocery/images", "grocery"),
        ("shop/My Images", "My-Images"),
        ("grocery@0123abc", "grocery"),
        (".hidden", "hidden"),
        ("shop/gr\u00f6\u00dfe", "gro-e"),
        ("shop/Fotos \u00fcmlaut", "Fotos-umlaut"),
        ("shop/Fotos u\u0308mlaut", "Fotos-umlaut"),
        ("shop/\uff26\uff4f\uff54\uff4f \u2460", "Foto-1"),
        ("shop/\u65e5\u672c 2024", "2024"),
        ("shop/a - b -- c", "a-b-c"),
        ("/images/data", "data"),
        ("x" * 100, "x" * 64),
        ("/", "data"),
        ("s3://bucket/animals/images", "animals"),
        ("s3://bucket/animals@2x", "animals-2x"),
        ("shop/mugs/table.csv", "mugs"),
        ("shop/mugs/images/TABLE.TSV", "mugs"),
        ("shop/photos.v1.2", "photos-v1-2"),
        ("shop/v1.csv/photos", "photos"),
    ],
)
def test_a_data_set_is_called_after_its_folder(source, name):
    assert default_name(source) == name


@pytest.mark.parametrize(
    "source", ["shop/\u7a7a", "shop/\u7a7a/images", "shop/\u7a7a/table.csv", "s3://bucket/\u65e5\u672c", "..."]
)
def test_a_folder_of_whose_name_nothing_remains_needs_a_name(source):
    with pytest.raises(InvalidInput, match="has no letter or digit that the name of a data set may have") as caught:
        default_name(source)
    assert "--name NAME" in caught.value.hint


def test_a_folder_may_end_as_a_table_does_and_be_the_one_above(tmp_path, monkeypatch):
    (tmp_path / "shop" / "old.csv").mkdir(parents=True)
    assert default_name(str(tmp_path / "shop" / "old.csv")) == "old-csv"
    monkeypatch.chdir(tmp_path / "shop" / "old.csv")
    assert (default_name(".."), own_name("..")) == ("shop", "shop")


def test_a_changed_name_is_told_and_an_unchanged_one_is_not():
    assert changed_name("shop/v1.2") == "The data set is called v1-2, after shop/v1.2. Another name: --name NAME."
    assert changed_name("shop/mugs") == changed_name("shop/mugs/table.csv") == ""


def test_the_own_name_is_the_folders_or_the_versions():
    assert own_name("shop/My Images") == "My Images"
    assert own_name("shop/grocery/images") == "images"
    assert own_name("shop/grocery/table.csv") == "grocery"
    assert own_name("grocery@0123abc") == "grocery"
