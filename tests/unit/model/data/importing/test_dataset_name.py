import pytest

from model.data.importing.dataset_name import changed_name, default_name, own_name


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("shop/grocery/images", "grocery"),
        ("shop/My Images", "My-Images"),
        ("grocery@0123abc", "grocery"),
        (".hidden", "hidden"),
        ("shop/gr\u00f6\u00dfe", "gr--e"),
        ("\u65e5\u672c", "data"),
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
