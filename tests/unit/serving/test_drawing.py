"""Answers as pictures."""

import pytest
from PIL import Image

from model.errors import InvalidInput
from serving.drawing import draw_answer
from serving.operations import OPERATIONS

NAMED = {"release": "r", "embedding_space_id": "s"}
FOUND = {"label": "mug", "box": [20, 30, 90, 80], "score": 0.9, "inliers": 8, "exemplar": "m"}
NEIGHBOURS = [{"id": "a.png", "label": "a", "score": 0.5}, {"id": "../b.png", "label": "b", "score": 0.4}]


def answer(operation, **fields):
    return OPERATIONS[operation].answer.model_validate(NAMED | fields)


@pytest.fixture
def scene(tmp_path):
    Image.new("RGB", (120, 100), "black").save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_a_box_is_drawn_where_the_object_is(scene, tmp_path):
    draw_answer(answer("detect", objects=[FOUND], calibrated=True), scene, tmp_path / "out.png", tmp_path / "none")
    drawn = Image.open(tmp_path / "out.png")
    assert drawn.size == (120, 100)
    assert all(drawn.getpixel(place) != (0, 0, 0) for place in ((20, 60), (90, 60), (55, 80)))
    assert drawn.getpixel((70, 65)) == drawn.getpixel((110, 90)) == (0, 0, 0)


def test_neighbours_stand_beside_the_query_and_only_files_of_a_data_set_are_read(scene, tmp_path):
    folder = tmp_path / "datasets" / "md5"
    folder.mkdir(parents=True)
    Image.new("RGB", (50, 50), "red").save(folder / "a.png")
    Image.new("RGB", (50, 50), "red").save(tmp_path / "datasets" / "b.png")
    draw_answer(answer("search", neighbours=NEIGHBOURS), scene, tmp_path / "out.png", tmp_path / "datasets")
    drawn = Image.open(tmp_path / "out.png").convert("RGB")
    middles = [drawn.getpixel((8 + tile * 232 + 112, 120)) for tile in range(3)]
    assert middles == [(0, 0, 0), (255, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize(
    ("operation", "fields", "out"),
    [("embed", {"embedding": [1.0]}, "out.png"), ("detect", {"objects": [], "calibrated": True}, "out.txt")],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(scene, tmp_path, operation, fields, out):
    with pytest.raises(InvalidInput):
        draw_answer(answer(operation, **fields), scene, tmp_path / out, tmp_path)
    assert not (tmp_path / out).exists()
