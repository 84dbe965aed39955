from model.files import set_aside


def test_what_is_set_aside_replaces_nothing(tmp_path):
    names = []
    for text in ("first", "second", "third"):
        (tmp_path / "x.json").write_text(text)
        names.append(set_aside(tmp_path / "x.json").name)
    assert names == ["x.json.damaged", "x.json.damaged.2", "x.json.damaged.3"]
    assert (tmp_path / "x.json.damaged.2").read_text() == "second"


def test_a_folder_and_a_link_to_nothing_are_set_aside(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert set_aside(tmp_path / "folder").is_dir()
    assert set_aside(tmp_path / "link").is_symlink()
