import csv
import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from model.data.manifest import COLUMNS
from model.demo import catalogue
from model.demo.artwork import draw_back, draw_label
from model.demo.catalogue import choose_products, draw_catalogue
from model.errors import InvalidInput
from model.files import sha256_folder

SMALL = {"products": 9, "views": 2, "scenes": 3, "size": 64}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "catalogue"
    draw_catalogue(out, **SMALL)
    return out


@pytest.fixture(scope="module")
def rows(drawn: Path) -> list[dict[str, str]]:
    with (drawn / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads(drawn: Path, tmp_path: Path) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1 if threads != 1 else 2)
    try:
        draw_catalogue(tmp_path / "again", **SMALL)
    finally:
        cv2.setNumThreads(threads)
    assert sha256_folder(tmp_path / "again") == sha256_folder(drawn)


def test_labels_are_drawn_as_they_always_were() -> None:
    digest = hashlib.sha256()
    for product in choose_products(12, np.random.default_rng(0)):
        digest.update(draw_label(product).tobytes() + draw_back(product).tobytes())
    assert digest.hexdigest()[:16] == "3797f158751b2691"  # of the locked OpenCV; labels are drawn in whole numbers


def test_drawing_changes_no_global_random_state(tmp_path: Path) -> None:
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    draw_catalogue(tmp_path / "out", products=2, views=1, scenes=1, size=48)
    assert np.random.random() == expected


def test_another_seed_gives_other_images(drawn: Path, tmp_path: Path) -> None:
    draw_catalogue(tmp_path / "other", **SMALL, seed=1)
    assert sha256_folder(tmp_path / "other") != sha256_folder(drawn)


def test_no_two_images_are_the_same(drawn: Path) -> None:
    images = [file.read_bytes() for file in drawn.rglob("*.jpg")]
    assert len(set(images)) == len(images) == 9 * 2 + 3 + 1  # and the query


def test_the_manifest_has_the_columns_of_a_data_set(drawn: Path) -> None:
    assert (drawn / "manifest.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)


def test_every_product_has_its_views_as_whole_images_without_a_split(drawn: Path, rows: list[dict[str, str]]) -> None:
    whole = [row for row in rows if row["path"].startswith("images/")]
    assert len(whole) == 9 * 2
    assert all(row[column] == "" for row in whole for column in ("split", "xmin", "ymin", "xmax", "ymax"))
    expected = {f"images/{name}/{view:02d}.jpg" for name in {row["label"] for row in whole} for view in range(2)}
    assert {row["path"] for row in whole} == expected
    assert {file.relative_to(drawn).as_posix() for file in (drawn / "images").rglob("*.jpg")} == expected
    assert {cv2.imread(str(drawn / path)).shape for path in expected} == {(64, 64, 3)}


def test_every_box_of_a_scene_lies_inside_its_image(drawn: Path, rows: list[dict[str, str]]) -> None:
    boxed = [row for row in rows if row["split"]]
    assert {row["split"] for row in boxed} == {"scene"}
    assert {row["path"] for row in boxed} == {f"scenes/{scene:02d}.jpg" for scene in range(3)}
    for row in boxed:
        height, width = cv2.imread(str(drawn / row["path"])).shape[:2]
        xmin, ymin, xmax, ymax = (int(row[column]) for column in COLUMNS[3:])
        assert 0 <= xmin < xmin + 20 < xmax <= width
        assert 0 <= ymin < ymin + 20 < ymax <= height


def test_a_scene_holds_six_to_twelve_known_products(rows: list[dict[str, str]]) -> None:
    known = {row["label"] for row in rows if not row["split"]}
    for scene in range(3):
        labels = [row["label"] for row in rows if row["path"] == f"scenes/{scene:02d}.jpg"]
        assert 6 <= len(labels) <= 12
        assert set(labels) <= known


def test_a_box_encloses_the_product_it_names() -> None:
    products = choose_products(8, np.random.default_rng(0))
    items = [catalogue.package(product) for product in products]
    canvas = np.full((300, 300, 3), 128, np.float32)
    xmin, ymin, xmax, ymax = catalogue._stand(canvas, items[0], (20, 200, 240), 260, np.random.default_rng(1))
    changed = np.abs(canvas - 128).max(axis=2) > 70  # more than the soft shadow (45 of 100) can do
    ys, xs = np.nonzero(changed)
    assert (xs.min() >= xmin - 1, xs.max() <= xmax, ys.min() >= ymin - 1, ys.max() <= ymax) == (True,) * 4
    assert changed[ymin:ymax, xmin:xmax].mean() > 0.1


@pytest.mark.parametrize("count", [2, 5, 40, catalogue.MOST])
def test_names_are_sorted_unique_and_readable(count: int) -> None:
    names = [product.name for product in choose_products(count, np.random.default_rng(0))]
    assert names == sorted(set(names))
    assert len(names) == count
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+){2,4}", name) for name in names)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_halves_of_the_alphabet_have_every_shape_and_layout(seed: int) -> None:
    products = choose_products(40, np.random.default_rng([seed, 0]))
    for half in (products[:20], products[20:]):
        assert {product.shape for product in half} == set(catalogue.LINES)
        assert {product.layout for product in half} == set(catalogue.LAYOUTS)
        assert len({product.brand for product in half}) == 5


def test_variants_of_a_family_differ_in_part_of_the_label_only() -> None:
    first, second = (catalogue.package(product).front for product in choose_products(4, np.random.default_rng(0))[:2])
    same = (first == second).all(axis=2).mean()
    assert 0.2 < same < 0.95


def test_nothing_is_left_behind_when_drawing_fails_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(catalogue, "draw_scene", fail)
    with pytest.raises(OSError, match="disk full"):
        draw_catalogue(tmp_path / "out", products=2, views=1, scenes=1, size=48)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    draw_catalogue(
        tmp_path / "out", products=3, views=2, scenes=2, size=48, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 8) for done in range(1, 9)]


@pytest.mark.parametrize(
    "wrong", [{"products": 1}, {"products": catalogue.MOST + 1}, {"views": 0}, {"scenes": -1}, {"size": 8}, {"seed": -1}]
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        draw_catalogue(tmp_path / "out", **wrong)
    assert list(tmp_path.iterdir()) == []
