import csv
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.importing import checks as validation
from model.data.manifest import read_manifest
from tests.support.sources import Survey


def image(seed: int, size: int = 48) -> Image.Image:
    """Soft random blobs: no two seeds look alike."""
    cells = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four classes of two images each."""
    root = tmp_path / "source"
    for number, name in enumerate(("ant", "bee", "cat", "dog")):
        (root / name).mkdir(parents=True)
        for shot in range(2):
            image(10 * number + shot).save(root / name / f"{shot}.png")
    return root


def test_a_sound_folder_has_no_findings_and_keeps_its_names(source):
    survey = Survey(source)
    assert survey.defects == []
    assert survey.warnings == []
    manifest = read_manifest(survey.out)
    assert [str(path) for path in manifest.paths[:2]] == ["ant/0.png", "ant/1.png"]
    assert [str(split) for split in manifest.splits[::2]] == ["train", "val", "test", "test"]
    assert (survey.out / "dog/1.png").read_bytes() == (source / "dog/1.png").read_bytes()


def test_every_defect_is_named_at_once(source, tmp_path):
    (source / "ant" / "text.jpg").write_text("no image")
    (source / "ant" / "empty.png").touch()
    (source / "bee" / "cut.png").write_bytes((source / "bee" / "0.png").read_bytes()[:-20])
    image(77).save(source / "bee" / "half.jpg")
    half = (source / "bee" / "half.jpg").read_bytes()
    (source / "bee" / "half.jpg").write_bytes(half[: len(half) // 2])
    (source / "none").mkdir()
    (source / "lone").mkdir()
    image(99).save(source / "lone" / "only.png")
    (source / "cat" / "sub").mkdir()
    os.mkfifo(source / "cat" / "pipe")
    image(98).save(tmp_path / "outside.png")
    (source / "dog" / "link.png").symlink_to(tmp_path / "outside.png")
    (source / "dog" / "gone.png").symlink_to(source / "nothing.png")
    (source / "away").symlink_to(tmp_path)
    (source / "dog" / "bell\a.png").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(source / "dog") + b"/\xff.png")).write_bytes(b"x")
    assert Survey(source).defects == sorted(
        [
            ("unsupported", "ant/text.jpg"),
            ("unreadable", "ant/empty.png"),
            ("damaged", "bee/cut.png"),
            ("damaged", "bee/half.jpg"),
            ("empty class", "none"),
            ("class of one", "lone"),
            ("nested folder", "cat/sub"),
            ("not a file", "cat/pipe"),
            ("link out of the folder", "dog/link.png"),
            ("broken link", "dog/gone.png"),
            ("link out of the folder", "away"),
            ("invalid name", "dog/bell\\x07.png"),
            ("invalid name", "dog/\\xff.png"),
        ]
    )


def test_a_huge_image_is_refused_without_being_decoded(source, monkeypatch):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    huge = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (source / "ant" / "huge.png").write_bytes(huge)
    decoded = []
    decode = validation.decode_image
    monkeypatch.setattr(validation, "decode_image", lambda data, limits: decoded.append(data) or decode(data, limits))
    survey = Survey(source)
    assert survey.defects == [("oversized", "ant/huge.png")]
    assert huge not in decoded
    assert len(decoded) == 8


def test_a_file_of_too_many_bytes_is_refused(source):
    (source / "ant" / "fat.png").write_bytes((source / "ant" / "0.png").read_bytes() + bytes(10**6))
    assert Survey(source).defects == [("oversized", "ant/fat.png")]


@pytest.mark.parametrize("name", ["Äpfel, süß.png", "林檎.png", "🍎 1.png", "n" * 251 + ".png", '"quoted", and comma.png'])
def test_unicode_and_long_names_survive(source, name):
    image(55).save(source / "ant" / name)
    survey = Survey(source)
    assert survey.defects == []
    assert f"ant/{name}" in read_manifest(survey.out).paths
    assert (survey.out / "ant" / name).is_file()


def test_what_the_file_manager_left_is_passed_over(source):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (source / "ant" / name).write_bytes(b"junk")
    (source / "README.md").write_text("about")
    assert Survey(source).defects == []


def test_content_decides_and_not_the_name(source):
    image(60).save(source / "ant" / "a.bmp")
    image(61).save(source / "ant" / "b.dvc", format="JPEG")
    image(62).save(source / "ant" / "c.webp")
    image(63).save(source / "ant" / "d.gif")
    image(64).save(source / "ant" / "e.png", format="BMP")
    survey = Survey(source)
    assert survey.defects == []
    assert survey.warnings == ["converted"] * 3
    assert sorted(path.name for path in (survey.out / "ant").iterdir()) == [
        "0.png",
        "1.png",
        "a.bmp.png",
        "b.dvc.jpg",
        "c.webp",
        "d.gif.png",
        "e.png",
    ]
    stored = np.asarray(Image.open(survey.out / "ant/a.bmp.png"))
    assert np.array_equal(stored, np.asarray(image(60)))


def test_the_same_image_in_two_classes_names_the_pair(source):
    (source / "dog" / "copy.png").write_bytes((source / "cat" / "0.png").read_bytes())
    survey = Survey(source)
    assert survey.defects == [("in two classes", "cat/0.png (cat, test)")]
    assert "dog/copy.png (dog, test)" in survey.findings.defects[0].text


def test_the_same_image_on_both_sides_fails(source):
    (source / "dog" / "copy.png").write_bytes((source / "ant" / "0.png").read_bytes())
    survey = Survey(source, conflicts="keep")
    assert survey.defects == [("leak", "ant/0.png (ant, train)")]
    assert "dog/copy.png (dog, test)" in survey.findings.defects[0].text


def test_a_leak_is_dropped_from_the_training_side_on_request(source):
    image(70).save(source / "ant" / "2.png")
    (source / "dog" / "copy.png").write_bytes((source / "ant" / "2.png").read_bytes())
    survey = Survey(source, leaks="drop", conflicts="keep")
    assert survey.defects == []
    assert survey.warnings == ["leak"]
    assert "ant/2.png" not in read_manifest(survey.out).paths
    assert "dog/copy.png" in read_manifest(survey.out).paths
    assert not (survey.out / "ant/2.png").exists()


def test_dropping_a_leak_may_leave_a_class_of_one_which_is_named(source):
    (source / "dog" / "copy.png").write_bytes((source / "ant" / "0.png").read_bytes())
    assert Survey(source, leaks="drop", conflicts="keep").defects == [("class of one", "ant")]


def test_a_copy_within_one_class_is_only_a_warning(source):
    (source / "ant" / "copy.png").write_bytes((source / "ant" / "0.png").read_bytes())
    survey = Survey(source)
    assert survey.defects == []
    assert survey.warnings == ["copy"]


def test_a_recompressed_image_in_another_class_is_warned_of(source):
    image(0, 64).save(source / "dog" / "again.jpg", quality=80)
    survey = Survey(source)
    assert survey.defects == []
    assert [found.name for found in survey.findings.warnings] == ["ant/0.png (ant, train)"]
    assert "dog/again.jpg" in survey.findings.warnings[0].text


def test_flat_images_of_different_greys_are_no_near_duplicates(source):
    for number, name in enumerate(("ant", "bee", "cat", "dog")):
        Image.new("RGB", (32, 32), (60 * number,) * 3).save(source / name / "flat.png")
    assert Survey(source).warnings == []


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    root = tmp_path / "cards"
    (root / "scenes").mkdir(parents=True)
    for number in range(3):
        image(number, 100).save(root / "scenes" / f"{number}.png")
    return root


def test_boxes_in_a_csv_become_samples(scenes):
    rows = [["File", "Label", "xmin", "ymin", "xmax", "ymax"]]
    rows += [[f"{n}.png", label, x, "0", str(int(x) + 40), "50"] for n in range(2) for label, x in (("ace", "0"), ("king", "60"))]
    survey = Survey(scenes, write_csv(scenes / "boxes.csv", rows))
    manifest = read_manifest(survey.out)
    assert survey.defects == []
    assert list(manifest.ids[:2]) == ["scenes/0.png#0,0,40,50", "scenes/0.png#60,0,100,50"]
    assert list(manifest.splits) == ["train", "test", "train", "test"]
    assert not (survey.out / "scenes/2.png").exists()


def test_groups_in_a_csv_go_with_their_samples(source):
    rows = [["file", "label", "Group"]]
    rows += [[f"{name}/{shot}.png", name, kind] for name, kind in (("ant", "crawls"), ("bee", "flies")) for shot in range(2)]
    rows += [["cat/0.png", "cat", ""], ["cat/1.png", "cat", "a\x01b"], ["cat/1.png", "cat", " walks "]]
    survey = Survey(source, write_csv(source / "kinds.csv", rows))
    assert [kind for kind, _ in survey.defects] == ["invalid name"]
    del rows[-2]
    manifest = read_manifest(Survey(source, write_csv(source / "kinds.csv", rows)).out)
    assert dict(zip(manifest.paths.tolist(), manifest.groups.tolist(), strict=True)) == {
        **{"ant/0.png": "crawls", "ant/1.png": "crawls", "bee/0.png": "flies", "bee/1.png": "flies"},
        **{"cat/0.png": "", "cat/1.png": "walks"},
    }


def test_bad_rows_are_named_by_their_line(scenes, tmp_path):
    image(9).save(tmp_path / "secret.png")
    header = ["file", "label", "split", "xmin", "ymin", "xmax", "ymax"]
    rows = [
        header,
        ["0.png", "ace", "", "10", "10", "101", "50"],
        ["0.png", "ace", "", "10", "10", "10", "50"],
        ["0.png", "ace", "", "10", "", "20", "50"],
        ["0.png", "", "", "", "", "", ""],
        ["0.png", "ace", "exam", "", "", "", ""],
        ["9.png", "ace", "", "", "", "", ""],
        ["../secret.png", "ace", "", "", "", "", ""],
        *([f"{n}.png", label, "", "1", "1", x, "50"] for n in range(2) for label, x in (("king", "30"), ("ace", "60"))),
    ]
    assert Survey(scenes, write_csv(scenes / "boxes.csv", rows)).defects == sorted(
        [
            ("box outside", "scenes/0.png"),
            ("bad box", "boxes.csv, line 3"),
            ("bad box", "boxes.csv, line 4"),
            ("no label", "boxes.csv, line 5"),
            ("no such split", "boxes.csv, line 6"),
            ("missing", "boxes.csv, line 7: 9.png"),
            ("link out of the folder", "boxes.csv, line 8: ../secret.png"),
        ]
    )


def test_one_box_with_two_labels_is_in_two_classes(scenes):
    box = ["0", "0", "40", "50"]
    rows = [["file", "label", "split", "xmin", "ymin", "xmax", "ymax"]]
    rows += [["0.png", label, "test", *box] for label in ("ace", "king")]
    rows += [["1.png", "ace", "test", *box], ["2.png", "king", "test", *box]]
    survey = Survey(scenes, write_csv(scenes / "boxes.csv", rows), split="manifest")
    assert survey.defects == [("in two classes", "scenes/0.png#0,0,40,50 (ace, test)")]


def test_a_link_within_the_folder_is_stored_as_the_image_it_leads_to(source):
    image(80).save(source / "ant" / "real.png")
    (source / "ant" / "real.png").rename(source / "ant" / "moved.png")
    (source / "ant" / "0.png").unlink()
    (source / "ant" / "0.png").symlink_to("moved.png")
    survey = Survey(source)
    assert survey.defects == []
    assert not (survey.out / "ant/0.png").is_symlink()
    assert survey.warnings == ["copy"]


def test_one_class_of_one_image_is_enough_for_a_gallery_and_none_of_it_is_trained_on(tmp_path):
    root = tmp_path / "source"
    (root / "mug").mkdir(parents=True)
    image(1).save(root / "mug" / "0.png")
    assert {kind for kind, _ in Survey(root).defects} == {"class of one", "one class"}
    survey = Survey(root, split="gallery")
    assert survey.defects == survey.warnings == []
    manifest = read_manifest(survey.out)
    assert manifest.splits.tolist() == ["distractor"]
    assert manifest.classified.paths.tolist() == ["mug/0.png"]


def test_the_split_column_of_data_for_a_gallery_only_tells_scenes(source):
    (source / "manifest.csv").write_text(
        "file,label,split\nant/0.png,ant,train\nant/1.png,ant,test\nbee/0.png,bee,scene\nbee/1.png,bee,\n"
    )
    survey = Survey(source, split="gallery")
    assert survey.defects == []
    assert read_manifest(survey.out).splits.tolist() == ["distractor", "distractor", "scene", "distractor"]


def test_one_image_in_two_classes_is_a_defect_in_data_for_a_gallery_too(source):
    (source / "ant" / "9.png").write_bytes((source / "bee" / "0.png").read_bytes())
    assert {kind for kind, _ in Survey(source, split="gallery").defects} == {"in two classes"}
