import pytest

from model.data.importing.dataset_name import default_name, own_name


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
    ],
)
def test_a_data_set_is_called_after_its_folder(source, name):
    assert default_name(source) == name


def test_the_own_name_is_the_folders_or_the_versions():
    assert own_name("shop/My Images") == "My Images"
    assert own_name("shop/grocery/images") == "images"
    assert own_name("grocery@0123abc") == "grocery"
