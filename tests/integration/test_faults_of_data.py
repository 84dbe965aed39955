"""Images and tables that once went wrong: imported as `glocal data import` does, fetched again, and asked for at the engine."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from model.config import DataConfig
from model.data.decoding.pixels import GROUND
from model.data.importing.findings import Rejected
from model.data.importing.pinning import pin_dataset
from model.data.manifest import Manifest, read_manifest
from model.data.versions.fetch import fetch
from model.errors import InvalidInput
from model.home import DataStore, Home
from serving.engine.engine import Engine
from tests.support.encoded import encode, exif, stored_as
from tests.support.releases import make_release

pytestmark = pytest.mark.integration


def shot(label: int, number: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    """A view of a product: its own coarse colours in the noise of one photograph."""
    colours = np.random.default_rng(label).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    noise = np.random.default_rng(1000 + 100 * label + number).integers(-40, 40, (8, 8, 3))
    return Image.fromarray((colours + noise).clip(0, 255).astype(np.uint8)).resize(size)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six classes of three JPEGs each."""
    for label in range(6):
        (tmp_path / "photos" / f"class{label}").mkdir(parents=True)
        for number in range(3):
            shot(label, number).save(tmp_path / "photos" / f"class{label}" / f"{number}.jpg")
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path) -> DataStore:
    return Home(tmp_path / "home").data


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(make_release(tmp_path_factory.mktemp("engine") / "release").folder)


def stored(photos: Path, store: DataStore, **settings: object) -> tuple[Manifest, list[str]]:
    """The version that an import makes, fetched as training fetches it, and what a person was told."""
    report = pin_dataset(photos, "photos", store, DataConfig(**settings))
    return read_manifest(fetch(report.pin, store, photos.parent / "fetched")), report.messages


def refused(photos: Path, store: DataStore, **settings: object) -> tuple[Rejected, str]:
    """The refusal, and the report that names everything."""
    with pytest.raises(Rejected, match=r"Nothing was imported\.") as caught:
        pin_dataset(photos, "photos", store, DataConfig(**settings))
    assert not (store.repo / "photos.dvc").exists()
    return caught.value, caught.value.report.read_text(encoding="utf-8")


def table(photos: Path, header: str, row: str, splits: tuple[str, ...] = ("",)) -> None:
    """A manifest.csv with `row` for every image, once for each of `splits`."""
    files = sorted(path.relative_to(photos).as_posix() for path in photos.glob("*/*.jpg"))
    rows = [row.format(file=file, label=file.split("/")[0], split=split) for split in splits for file in files]
    (photos / "manifest.csv").write_text("\n".join([header, *rows]))


def same_answer(engine: Engine, *queries: bytes) -> None:
    """Every query is answered, and all of them alike."""
    answers = [engine.search(query, 5) for query in queries]
    assert len(answers[0]["neighbours"]) == 5
    assert all(answer == answers[0] for answer in answers[1:])


def test_what_is_hidden_under_transparency_is_seen_by_nobody(photos, store, engine):
    cut_out = np.zeros((96, 96, 4), np.uint8)
    cut_out[24:72, 24:72, :3], cut_out[24:72, 24:72, 3] = np.asarray(shot(0, 9, (48, 48))), 255
    on_white, on_ground = cut_out.copy(), cut_out.copy()
    on_white[cut_out[..., 3] == 0, :3], on_ground[cut_out[..., 3] == 0] = 255, (GROUND, GROUND, GROUND, 255)
    files = [encode(Image.fromarray(image)) for image in (cut_out, on_white, on_ground)]
    same_answer(engine, *files)
    (photos / "class0" / "cut-out.png").write_bytes(files[0])
    (photos / "class1" / "same.png").write_bytes(files[1])
    manifest, said = stored(photos, store)
    assert {"class0/cut-out.png", "class1/same.png"} <= set(manifest.paths.tolist())
    assert any("cut-out.png" in line and "same.png" in line for line in said)  # near duplicates: they look the same


def test_boxes_between_0_and_1_are_refused_until_the_setting_says_what_they_are(photos, store):
    table(photos, "file,label,xmin,ymin,xmax,ymax", "{file},{label},0.1,0.1,0.9,0.9")
    with pytest.raises(InvalidInput, match="all 18 boxes lie between 0 and 1") as caught:
        pin_dataset(photos, "photos", store)
    assert "data.boxes=normalised" in caught.value.hint
    manifest, _ = stored(photos, store, boxes="normalised")
    assert np.allclose(manifest.boxes, [9.6, 9.6, 86.4, 86.4])
    assert len(manifest) == 18


def test_pixels_and_fractions_in_one_table_are_no_one_pixel_samples(photos, store):
    table(photos, "file,label,xmin,ymin,xmax,ymax", "{file},{label},0.1,0.1,0.9,0.9")
    text = (photos / "manifest.csv").read_text()
    (photos / "manifest.csv").write_text(text.replace("class0,0.1,0.1,0.9,0.9", "class0,10,10,90,90"))
    error, report = refused(photos, store)
    assert "15 bad box" in error.headline
    assert "class1/0.jpg: the box 0.1,0.1,0.9,0.9 is less than a pixel" in report


def test_two_lists_of_the_same_rows_on_two_sides_are_contradictions(photos, store):
    table(photos, "file,label,split", "{file},{label},{split}", ("train", "test"))
    error, report = refused(photos, store)
    assert "18 contradiction" in error.headline
    assert "manifest.csv, line 20: split is test here and train in line 2, for class0/0.jpg; remove one row" in report


@pytest.mark.parametrize("names", ["x_1,y_1,x_2,y_2", "x1,y1,x2,y2", "bbox_x1,bbox_y1,bbox_x2,bbox_y2", "left,top,right,bottom"])
def test_boxes_under_other_names_are_read_and_that_is_said(photos, store, names):
    table(photos, f"path,label,{names}", "{file},{label},10,10,40,40")
    manifest, said = stored(photos, store)
    assert manifest.boxes.tolist() == [[10, 10, 40, 40]] * 18
    assert said == [f"columns: manifest.csv: read {names.replace(',', ', ')} as xmin, ymin, xmax, ymax"]


def test_boxes_of_which_a_column_is_missing_are_refused_and_other_columns_named(photos, store):
    table(photos, "path,label,x_1,y_1,x_2", "{file},{label},10,10,40")
    with pytest.raises(InvalidInput, match="x_1, y_1, x_2"):
        pin_dataset(photos, "photos", store)
    table(photos, "path,label,colour", "{file},{label},red")
    assert stored(photos, store)[1] == ["columns not read: manifest.csv: colour"]


def test_what_file_managers_and_nas_boxes_leave_is_neither_counted_nor_stored(photos, store):
    clean = pin_dataset(photos, "photos", store).pin
    (photos / "class0" / "Icon\r").touch()
    (photos / "class1" / "@eaDir" / "0.jpg").mkdir(parents=True)
    (photos / "class2" / "ehthumbs.db").write_bytes(b"x")
    (photos / "class3" / ".git" / "objects").mkdir(parents=True)
    shot(3, 9).save(photos / "class3" / "._0.jpg", "JPEG")
    (photos / "lost+found").mkdir()
    (photos / "$RECYCLE.BIN").mkdir()
    report = pin_dataset(photos, "photos", store)
    assert (report.pin, report.messages) == (clean, [])
    folder = fetch(report.pin, store, photos.parent / "fetched")
    assert sum(path.is_file() for path in folder.rglob("*")) == report.pin.files == 19


def test_half_lost_jpegs_are_named_left_out_by_setting_and_refused_as_queries(photos, store, engine):
    whole = encode(shot(0, 9, (400, 400)), "JPEG", quality=90)
    third, most = len(whole) // 3, len(whole) * 5 // 6
    lost = {
        "cut.jpg": whole[: len(whole) // 2] + b"\xff\xd9",
        "hole.jpg": whole[:third] + bytes(most - third) + whole[most:],
        "tail.jpg": whole[: len(whole) * 9 // 10],
    }
    for name, data in lost.items():
        (photos / "class0" / name).write_bytes(data)
        with pytest.raises(InvalidInput, match="damaged"):
            engine.search(data, 1)
    assert len(engine.search(whole, 1)["neighbours"]) == 1
    error, report = refused(photos, store)
    assert "3 damaged" in error.headline
    assert all(f"damaged: class0/{name}: The JPEG is damaged" in report for name in lost)
    manifest, said = stored(photos, store, skip_unreadable=True)
    assert len(manifest) == 18
    assert said == [f"left out 3 samples: damaged; named in {store.reports / 'photos.txt'}"]


@pytest.mark.parametrize("name", ["P1010001.MPO", "P1010001", "P1010001.jpg", "P1010001.png"])
def test_a_multi_picture_jpeg_is_a_jpeg_whatever_its_name(photos, store, engine, name):
    data = encode(shot(0, 9), "MPO", save_all=True, append_images=[shot(0, 10)])
    (photos / "class0" / name).write_bytes(data)
    manifest, said = stored(photos, store)
    kept = name if name.endswith((".jpg", ".png")) else f"{name}.jpg"
    assert f"class0/{kept}" in manifest.paths
    assert (manifest.folder / "class0" / kept).read_bytes() == data
    assert said == []
    same_answer(engine, data, encode(shot(0, 9), "JPEG"))


def test_text_and_profiles_of_megabytes_make_no_png_unreadable(photos, store, engine):
    info = PngInfo()
    info.add_text("workflow", "abcdefg " * 300_000, zip=True)
    info.add_itxt("notes", "x" * 2_000_000, zip=True)
    data = encode(shot(0, 9), pnginfo=info, icc_profile=bytes(3_000_000))
    (photos / "class0" / "big.png").write_bytes(data)
    manifest, said = stored(photos, store)
    assert "class0/big.png" in manifest.paths
    assert said == []
    same_answer(engine, data, encode(shot(0, 9)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_one_image_has_one_answer_whatever_its_container_and_orientation(photos, store, engine, orientation):
    upright = shot(0, 9, (96, 64))
    sideways = stored_as(upright, orientation)
    files = {
        "sideways.webp": encode(sideways, "WEBP", lossless=True, exif=exif(orientation)),
        "sideways.png": encode(sideways, exif=exif(orientation)),
        "upright.bmp": encode(upright, "BMP"),
    }
    same_answer(engine, encode(upright), *files.values())
    if orientation == 6:
        for number, (name, data) in enumerate(files.items()):
            (photos / f"class{number}" / name).write_bytes(data)
        _, said = stored(photos, store)
        pairs = [line for line in said if line.startswith("near duplicate")]
        assert all(any(name in line for line in pairs) for name in files)  # they look the same to the import as well
