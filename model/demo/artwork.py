"""The label of a drawn product: a flat image that depends on the product's identity and not on the view.

Products of one family share layout, pattern, palette and brand. They differ in local parts: the flavour's word, its icon, the
colour of both, and a share of that colour in the pattern.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
"""Blue, green, red: OpenCV's order."""
LabelBox = tuple[float, float, float, float]
"""Left, top, width, height, each as a share of the label's width or height."""

CREAM: Colour = (226, 240, 247)
WIDTH, HEIGHT = 208, 288
"""Size of a label in pixels, about twice the resolution of a product in an image of 160 pixels."""


@dataclass(frozen=True)
class Product:
    """The looks of a product, independent of the view.

    Attributes:
        name: The class name: brand, line and flavour, e.g. `alba-oat-drink-vanilla`.
        brand: Brand as printed.
        line: Line as printed, e.g. `Oat Drink`.
        flavour: Flavour as printed.
        shape: `box`, `can`, `bottle` or `pouch`.
        layout: A key of `LAYOUTS`.
        pattern: A key of `PATTERNS`.
        icon: A key of `ICONS`.
        ground: Main colour of the family.
        ink: Dark colour of the family, for lettering on light parts.
        accent: Colour of the flavour.
        font: One of OpenCV's fonts.
    """

    name: str
    brand: str
    line: str
    flavour: str
    shape: str
    layout: str
    pattern: str
    icon: str
    ground: Colour
    ink: Colour
    accent: Colour
    font: int


def words(text: str) -> tuple[str, ...]:
    """The words of a line of text."""
    return tuple(text.split())


def colour(text: str) -> Colour:
    """The colour of six hexadecimal digits, red first."""
    return int(text[4:6], 16), int(text[2:4], 16), int(text[0:2], 16)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The linear interpolation from `first` to `second` at `share`."""
    blue, green, red = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return blue, green, red


def readable_on(ground: Colour, dark: Colour) -> Colour:
    """A colour with contrast to `ground`: cream on a dark one, `dark` on a light one (ITU-R BT.601 luma)."""
    luma = 0.114 * ground[0] + 0.587 * ground[1] + 0.299 * ground[2]
    return CREAM if luma < 150 else dark


def letter(image: Image, text: str, box: LabelBox, ink: Colour, font: int) -> None:
    """Write `text` as large as fits into `box`, centred."""
    height, width = image.shape[:2]
    left, top, wide, high = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    (unit_width, unit_height), _ = cv2.getTextSize(text, font, 1.0, 2)
    scale = min(wide / max(unit_width, 1), high / max(unit_height * 1.25, 1))
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, 2)
    origin = round(left + (wide - text_width) / 2), round(top + (high + text_height * 0.8) / 2)
    cv2.putText(image, text, origin, font, scale, ink, 2, cv2.LINE_AA)


# Icons: each function draws one around (x, y) with radius r.


def _disc(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    cv2.circle(image, (round(x), round(y)), max(1, round(r)), ink, -1, cv2.LINE_AA)


def _polygon(image: Image, points: NDArray[np.float64], ink: Colour) -> None:
    cv2.fillPoly(image, [np.round(points).astype(np.int32)], ink, cv2.LINE_AA)


def _ellipse(image: Image, x: float, y: float, axes: tuple[float, float], turn: float, ink: Colour) -> None:
    half = max(1, round(axes[0])), max(1, round(axes[1]))
    cv2.ellipse(image, (round(x), round(y)), half, turn, 0, 360, ink, -1, cv2.LINE_AA)


def _around(count: int, start: float = -np.pi / 2) -> NDArray[np.float64]:
    angles = start + np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _citrus(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    _disc(image, x, y, r, ink)
    _disc(image, x, y, r * 0.82, mix(ink, CREAM, 0.75))
    rim = _around(8)
    for first, second in zip(rim, np.roll(rim, -1, axis=0), strict=True):
        wedge = np.array([[0.08, 0.08], [0.68, 0.2], [0.2, 0.68]]) @ np.stack([first, second])
        _polygon(image, np.array([x, y]) + r * wedge, ink)


def _berries(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    for dx, dy in ((-0.45, 0.3), (0.45, 0.3), (0.0, -0.4)):
        _disc(image, x + dx * r, y + dy * r, r * 0.5, ink)
        _disc(image, x + (dx - 0.15) * r, y + (dy - 0.18) * r, r * 0.12, CREAM)


def _leaf(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    for turn, dx in ((-50, 0.3), (-130, -0.3)):
        _ellipse(image, x + dx * r, y - 0.05 * r, (r * 0.75, r * 0.32), turn, ink)
    cv2.line(image, (round(x), round(y + r)), (round(x), round(y + 0.2 * r)), ink, max(1, round(r / 8)), cv2.LINE_AA)


def _squares(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    for row in range(3):
        for column in range(3):
            left, top = x + (column * 0.6 - 0.88) * r, y + (row * 0.6 - 0.88) * r
            cv2.rectangle(image, (round(left), round(top)), (round(left + 0.5 * r), round(top + 0.5 * r)), ink, -1, cv2.LINE_AA)


def _honeycomb(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    for dx, dy in np.vstack([[[0.0, 0.0]], _around(6, 0.0) * 0.68]):
        _polygon(image, np.array([x + dx * r, y + dy * r]) + _around(6) * r * 0.34, ink)


def _nut(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    _ellipse(image, x, y, (r * 0.95, r * 0.6), -35, ink)
    for dx in (-0.25, 0.05, 0.35):
        _ellipse(image, x + dx * r, y - dx * 0.7 * r, (r * 0.3, r * 0.04), 60, mix(ink, CREAM, 0.6))


def _flame(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    right = [[0, -1], [0.35, -0.35], [0.6, -0.55], [0.75, 0.2], [0.45, 0.85]]
    left = [[0, 1], [-0.5, 0.85], [-0.75, 0.2], [-0.3, -0.2]]
    _polygon(image, np.array([x, y]) + r * np.array(right + left), ink)
    _ellipse(image, x, y + 0.45 * r, (r * 0.22, r * 0.38), 0, CREAM)


def _drop(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    _polygon(image, np.array([x, y]) + r * np.array([[0, -1], [0.58, 0.15], [-0.58, 0.15]]), ink)
    _disc(image, x, y + 0.35 * r, r * 0.62, ink)
    _ellipse(image, x - 0.25 * r, y + 0.35 * r, (r * 0.1, r * 0.25), 20, CREAM)


def _grain(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    cv2.line(image, (round(x), round(y + r)), (round(x), round(y - r)), ink, max(1, round(r / 10)), cv2.LINE_AA)
    for row in range(4):
        for side in (-1, 1):
            _ellipse(image, x + side * 0.3 * r, y + (row * 0.42 - 0.8) * r, (r * 0.34, r * 0.15), -side * 45, ink)


def _apple(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    for side in (-1, 1):
        _ellipse(image, x + side * 0.32 * r, y + 0.2 * r, (r * 0.52, r * 0.72), -side * 12, ink)
    _ellipse(image, x + 0.25 * r, y - 0.75 * r, (r * 0.3, r * 0.13), -35, (60, 130, 70))


def _star(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    points = _around(10)
    points[1::2] *= 0.45
    _polygon(image, np.array([x, y]) + r * points, ink)


def _flower(image: Image, x: float, y: float, r: float, ink: Colour) -> None:
    for dx, dy in _around(5):
        _disc(image, x + dx * 0.55 * r, y + dy * 0.55 * r, r * 0.4, ink)
    _disc(image, x, y, r * 0.28, CREAM)


Icon = Callable[[Image, float, float, float, Colour], None]
ICONS: dict[str, Icon] = {
    "apple": _apple,
    "berries": _berries,
    "citrus": _citrus,
    "drop": _drop,
    "flame": _flame,
    "flower": _flower,
    "grain": _grain,
    "honeycomb": _honeycomb,
    "leaf": _leaf,
    "nut": _nut,
    "squares": _squares,
    "star": _star,
}


# Patterns: each function fills the whole label with shapes in a second colour.


def _dots(image: Image, ink: Colour) -> None:
    for row, y in enumerate(range(8, HEIGHT, 18)):
        for x in range(6 + 11 * (row % 2), WIDTH, 22):
            _disc(image, x, y, 4, ink)


def _stripes(image: Image, ink: Colour) -> None:
    for x in range(0, WIDTH, 26):
        image[:, x : x + 11] = ink


def _chevrons(image: Image, ink: Colour) -> None:
    xs = np.arange(-26, WIDTH + 27, 26)
    for y in range(-20, HEIGHT + 20, 24):
        line = np.stack([xs, y + 13 * (np.arange(len(xs)) % 2)], axis=1).astype(np.int32)
        cv2.polylines(image, [line], False, ink, 6, cv2.LINE_AA)


def _waves(image: Image, ink: Colour) -> None:
    xs = np.arange(0, WIDTH + 4, 4)
    for y in range(0, HEIGHT + 20, 20):
        line = np.stack([xs, y + 6 * np.sin(xs / 11)], axis=1)
        cv2.polylines(image, [np.round(line).astype(np.int32)], False, ink, 5, cv2.LINE_AA)


def _rays(image: Image, ink: Colour) -> None:
    centre = np.array([WIDTH / 2, HEIGHT * 0.55])
    for turn in np.arange(16) * np.pi / 8:
        ends = [[np.cos(turn + d), np.sin(turn + d)] for d in (-0.1, 0.1)]
        _polygon(image, np.vstack([centre, centre + np.array(ends) * HEIGHT]), ink)


PATTERNS: dict[str, Callable[[Image, Colour], None]] = {
    "chevrons": _chevrons,
    "dots": _dots,
    "rays": _rays,
    "stripes": _stripes,
    "waves": _waves,
}


# Layouts: each function places brand, line, ribbon and icon.


def _ribbon(image: Image, product: Product, box: LabelBox, *, icon: bool = True) -> None:
    """Draw the part in which the products of a family differ: the flavour's word and icon on its colour."""
    left, top, wide, high = box[0] * WIDTH, box[1] * HEIGHT, box[2] * WIDTH, box[3] * HEIGHT
    cv2.rectangle(image, (round(left), round(top)), (round(left + wide), round(top + high)), product.accent, -1)
    ink = readable_on(product.accent, product.ink)
    room = high / WIDTH if icon else 0.0
    letter(image, product.flavour, (box[0] + 0.02, box[1] + 0.01, box[2] - 0.05 - room, box[3] - 0.02), ink, product.font)
    if icon:
        ICONS[product.icon](image, left + wide - high * 0.6, top + high / 2, high * 0.36, ink)


def _banner(image: Image, product: Product) -> None:
    cv2.rectangle(image, (0, 0), (WIDTH, round(HEIGHT * 0.3)), product.ink, -1)
    letter(image, product.brand, (0.08, 0.04, 0.84, 0.16), CREAM, product.font)
    letter(image, product.line, (0.15, 0.2, 0.7, 0.08), mix(product.ground, CREAM, 0.6), product.font)
    _disc(image, WIDTH / 2, HEIGHT * 0.55, WIDTH * 0.33, CREAM)
    ICONS[product.icon](image, WIDTH / 2, HEIGHT * 0.55, WIDTH * 0.23, product.accent)
    _ribbon(image, product, (0.0, 0.82, 1.0, 0.15), icon=False)


def _medallion(image: Image, product: Product) -> None:
    for grow, ink in ((1.0, product.ink), (0.94, CREAM)):
        _ellipse(image, WIDTH / 2, HEIGHT * 0.3, (WIDTH * 0.43 * grow, HEIGHT * 0.25 * grow), 0, ink)
    letter(image, product.brand, (0.15, 0.17, 0.7, 0.15), product.ink, product.font)
    letter(image, product.line, (0.22, 0.33, 0.56, 0.09), mix(product.ground, product.ink, 0.4), product.font)
    _ribbon(image, product, (0.0, 0.64, 1.0, 0.24))


def _slant(image: Image, product: Product) -> None:
    corners = np.array([[0, HEIGHT * 0.62], [WIDTH, HEIGHT * 0.3], [WIDTH, HEIGHT], [0, HEIGHT]])
    _polygon(image, corners - [0, 10], CREAM)
    _polygon(image, corners, product.ink)
    _disc(image, WIDTH * 0.68, HEIGHT * 0.56, WIDTH * 0.27, CREAM)
    ICONS[product.icon](image, WIDTH * 0.68, HEIGHT * 0.56, WIDTH * 0.19, product.accent)
    letter(image, product.brand, (0.06, 0.05, 0.8, 0.17), readable_on(product.ground, product.ink), product.font)
    letter(image, product.line, (0.06, 0.23, 0.62, 0.08), readable_on(product.ground, product.ink), product.font)
    _ribbon(image, product, (0.0, 0.8, 0.84, 0.14), icon=False)


def _arch(image: Image, product: Product) -> None:
    for grow, ink in ((10, CREAM), (0, mix(product.ground, CREAM, 0.75))):
        _disc(image, WIDTH / 2, HEIGHT * 0.36, WIDTH * 0.34 + grow, ink)
        left, right = round(WIDTH * 0.16) - grow, round(WIDTH * 0.84) + grow
        cv2.rectangle(image, (left, round(HEIGHT * 0.36)), (right, round(HEIGHT * 0.66) + grow), ink, -1)
    for dx, radius in ((-0.21, 0.12), (0.0, 0.17), (0.21, 0.12)):
        ICONS[product.icon](image, WIDTH * (0.5 + dx), HEIGHT * 0.54, WIDTH * radius, product.accent)
    letter(image, product.brand, (0.22, 0.18, 0.56, 0.15), product.ink, product.font)
    letter(image, product.line, (0.1, 0.71, 0.8, 0.1), readable_on(product.ground, product.ink), product.font)
    _ribbon(image, product, (0.1, 0.83, 0.8, 0.13), icon=False)


def _plate(image: Image, product: Product) -> None:
    top, bottom = round(HEIGHT * 0.16), round(HEIGHT * 0.84)
    for inset, ink in ((0, product.ink), (5, CREAM)):
        left, right = round(WIDTH * 0.1) + inset, round(WIDTH * 0.9) - inset
        cv2.rectangle(image, (left, top + inset), (right, bottom - inset), ink, -1)
    letter(image, product.brand, (0.16, 0.2, 0.68, 0.16), mix(product.ground, product.ink, 0.35), product.font)
    letter(image, product.line, (0.2, 0.345, 0.6, 0.08), product.ink, product.font)
    _ribbon(image, product, (0.1, 0.45, 0.8, 0.13), icon=False)
    ICONS[product.icon](image, WIDTH / 2, HEIGHT * 0.705, WIDTH * 0.15, product.accent)


LAYOUTS: dict[str, Callable[[Image, Product], None]] = {
    "arch": _arch,
    "banner": _banner,
    "medallion": _medallion,
    "plate": _plate,
    "slant": _slant,
}


def draw_label(product: Product) -> Image:
    """The front of the packaging: (HEIGHT, WIDTH, 3) uint8."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = product.ground
    tone = mix(product.ground, readable_on(product.ground, product.ink), 0.2)
    PATTERNS[product.pattern](image, mix(tone, product.accent, 0.3))
    LAYOUTS[product.layout](image, product)
    return image


def draw_back(product: Product) -> Image:
    """The side of the packaging, the same for a whole family: (HEIGHT, WIDTH, 3) uint8."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = mix(product.ground, product.ink, 0.12)
    letter(image, product.brand, (0.15, 0.06, 0.7, 0.12), readable_on(product.ground, product.ink), product.font)
    cv2.rectangle(image, (round(WIDTH * 0.16), round(HEIGHT * 0.26)), (round(WIDTH * 0.84), round(HEIGHT * 0.9)), CREAM, -1)
    for row in range(9):
        y = round(HEIGHT * (0.32 + row * 0.06))
        cv2.line(image, (round(WIDTH * 0.22), y), (round(WIDTH * (0.6 + 0.17 * (row % 2))), y), product.ink, 2, cv2.LINE_AA)
    return image
