"""Answers as images."""

import numpy as np
import pytest
from PIL import Image

from model.errors import InvalidInput
from serving.drawing import draw_answer
from serving.operations import OPERATIONS

NAMED = {"release": "r", "embedding_space_id": "s"}
FOUND = {"label": "mug", "box": [20, 30, 90, 80], "score": 0.9, "inliers": 8, "exemplar": "m"}
NEIGHBOURS = [{"id": "a.png", "label": "a", "score": 0.5}, {"id": "../b.png", "label": "b", "score": 0.4}]
VERIFIED = {"same": True, "score": 0.5, "threshold": 0.4, "false_accept_rate": 0.01}
TILE, GAP = 256, 8
BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0)


def answer(operation, **fields):
    return OPERATIONS[operation].answer.model_validate(NAMED | fields)


@pytest.fixture
def scene(tmp_path):
    Image.new("RGB", (300, 250), "black").save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


@pytest.fixture
def folders(tmp_path):
    """A fetched data set; beside it an image that is in none."""
    folder = tmp_path / "datasets" / "md5"
    folder.mkdir(parents=True)
    Image.new("RGB", (50, 50), "red").save(folder / "a.png")
    Image.new("RGB", (50, 50), "red").save(tmp_path / "datasets" / "b.png")
    return {"other@1234567/": tmp_path / "datasets" / "nothing here", "": folder}


@pytest.fixture
def drawn(scene, tmp_path):
    """Draw an answer about the scene, or about other images."""

    def draw(found, *images, folders=None):
        draw_answer(found, images or [scene], tmp_path / "out.png", folders or {})
        return Image.open(tmp_path / "out.png").convert("RGB")

    return draw


def middles(image, count):
    """The pixel a quarter below the upper left corner of each tile."""
    return [image.getpixel((GAP + tile * (TILE + GAP) + TILE // 4, GAP + TILE // 2)) for tile in range(count)]


def test_a_box_is_drawn_where_the_object_is_in_a_small_scene_that_is_enlarged(drawn):
    image = drawn(answer("detect", objects=[FOUND], calibrated=True))
    assert image.size == (1200, 1000)
    assert all(image.getpixel((4 * x, 4 * y)) != BLACK for x, y in ((20, 60), (90, 60), (55, 80)))
    assert image.getpixel((280, 260)) == image.getpixel((480, 360)) == BLACK


def test_a_large_scene_keeps_its_size(drawn, tmp_path):
    Image.new("RGB", (1400, 700), "black").save(tmp_path / "large.png")
    assert drawn(answer("detect", objects=[FOUND], calibrated=True), tmp_path / "large.png").size == (1400, 700)


def test_labels_of_neighbouring_and_of_stacked_objects_do_not_cover_each_other(drawn):
    boxes = [[20, 100, 60, 140], [61, 100, 100, 140], [20, 102, 60, 142]]
    objects = [{**FOUND, "label": f"an object with a long name {number}", "box": box} for number, box in enumerate(boxes)]
    together = drawn(answer("detect", objects=objects, calibrated=True))
    alone = [drawn(answer("detect", objects=[each], calibrated=True)) for each in objects]
    assert written(together) == pytest.approx(sum(written(one) for one in alone), rel=0.02)


def written(image):
    """Pixels of text."""
    return (np.asarray(image) == 255).all(axis=2).sum()


def test_neighbours_stand_beside_the_query_and_only_files_of_the_folders_are_read(drawn, folders):
    image = drawn(answer("search", neighbours=NEIGHBOURS), folders=folders)
    assert middles(image, 3) == [BLACK, RED, WHITE]


def test_an_entry_of_other_data_is_looked_for_there_alone(drawn, folders, tmp_path):
    enrolled = tmp_path / "datasets" / "enrolled"
    enrolled.mkdir()
    Image.new("RGB", (50, 50), GREEN).save(enrolled / "a.png")
    neighbours = [{"id": each, "label": "a", "score": 0.5} for each in ("more@1234567/a.png", "a.png", "other@1234567/a.png")]
    image = drawn(answer("search", neighbours=neighbours), folders={**folders, "more@1234567/": enrolled})
    assert middles(image, 4) == [BLACK, GREEN, RED, WHITE]


def test_a_neighbour_that_is_a_box_in_an_image_is_shown_as_that_box(drawn, folders):
    whole = Image.new("RGB", (90, 40), "red")
    whole.paste((0, 255, 0), (30, 10, 50, 30))
    whole.save(folders[""] / "shelf.png")
    image = drawn(answer("search", neighbours=[{"id": "shelf.png#30,10,50,30", "label": "a", "score": 0.5}]), folders=folders)
    tile = np.asarray(image)[GAP : GAP + TILE, 2 * GAP + TILE : 2 * (GAP + TILE)]
    assert (tile == GREEN).all()


def test_lines_join_the_matches_of_the_query_and_the_best_neighbour_alone(drawn, folders):
    best = {"id": "a.png", "label": "a", "score": 0.5, "inliers": 1, "matches": [[0.5, 0.5, 0.5, 0.5]]}
    second = {**best, "matches": [[0.5, 0.1, 0.5, 0.9]]}
    plain = drawn(answer("search", neighbours=[{**best, "matches": None}, {**second, "matches": None}]), folders=folders)
    image = drawn(answer("search", neighbours=[best, second]), folders=folders)
    changed = (np.asarray(image) != np.asarray(plain)).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (np.abs(rows - (GAP + TILE / 2)) <= 5).all()
    assert changed[:, GAP + TILE // 2 + 5 : GAP + TILE + GAP + TILE // 2 - 4].any(axis=0).all()
    assert columns.min() == pytest.approx(GAP + TILE / 2, abs=5)
    assert columns.max() == pytest.approx(GAP + TILE + GAP + TILE / 2, abs=5)


def test_no_line_leads_to_an_image_that_is_not_there(drawn):
    best = {"id": "a.png", "label": "a", "score": 0.5, "inliers": 1, "matches": [[0.5, 0.5, 0.5, 0.5]]}
    assert middles(drawn(answer("search", neighbours=[best])), 2) == [BLACK, WHITE]


def test_two_images_stand_side_by_side_with_their_matches(drawn, scene, folders):
    both = scene, folders[""] / "a.png"
    plain = drawn(answer("verify", **VERIFIED), *both)
    assert middles(plain, 2) == [BLACK, RED]
    image = drawn(answer("verify", **VERIFIED, matches=[[0.9, 0.2, 0.1, 0.8]]), *both)
    changed = (np.asarray(image) != np.asarray(plain)).any(axis=2)[: GAP + TILE]
    height = TILE * 250 / 300
    rows, columns = np.nonzero(changed)
    assert rows.min() == pytest.approx(GAP + (TILE - height) / 2 + 0.2 * height, abs=5)
    assert rows.max() == pytest.approx(GAP + 0.8 * TILE, abs=5)
    assert columns.min() == pytest.approx(GAP + 0.9 * TILE, abs=5)
    assert columns.max() == pytest.approx(2 * GAP + 1.1 * TILE, abs=5)


@pytest.mark.parametrize(
    ("operation", "fields", "out"),
    [("embed", {"embedding": [1.0]}, "out.png"), ("detect", {"objects": [], "calibrated": True}, "out.txt")],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(scene, tmp_path, operation, fields, out):
    with pytest.raises(InvalidInput):
        draw_answer(answer(operation, **fields), [scene], tmp_path / out, {})
    assert not (tmp_path / out).exists()
