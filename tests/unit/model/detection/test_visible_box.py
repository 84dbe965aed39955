import numpy as np

from model.detection.references import GRID
from model.detection.visible_box import largest_rectangle, visible_box

FRAME = np.array([-0.5, -0.5, 0.5, 0.5], np.float32)
TRANSFORM = np.array([[100, 0, 50], [0, 100, 50]], np.float32)  # the frame covers the pixels 0 to 100
BOX = np.array([0, 0, 100, 100], np.float32)
EVERYWHERE = np.ones((GRID, GRID), bool)


def test_the_largest_rectangle_of_a_hand_made_table():
    cells = np.array([[1, -5, 2], [-4, 3, 4], [1, 1, -9]], np.float32)
    assert largest_rectangle(cells) == ((1, 2), (1, 3), 7.0)


def test_an_object_that_is_seen_whole_keeps_its_box():
    assert visible_box(BOX, TRANSFORM, FRAME, np.full((GRID, GRID), 0.9, np.float32), EVERYWHERE).tolist() == BOX.tolist()


def test_a_covered_half_is_cut_off():
    correlation = np.full((GRID, GRID), 0.9, np.float32)
    correlation[:, : GRID // 2] = -0.2
    x0, y0, x1, y1 = visible_box(BOX, TRANSFORM, FRAME, correlation, EVERYWHERE)
    assert abs(x0 - 50) <= 5
    assert (y0, x1, y1) == (0, 100, 100)


def test_where_nothing_is_like_the_exemplar_the_box_stays():
    assert visible_box(BOX, TRANSFORM, FRAME, np.zeros((GRID, GRID), np.float32), EVERYWHERE).tolist() == BOX.tolist()
