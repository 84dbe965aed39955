"""The surroundings of a drawn product: background, clutter, occlusion and lighting."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from model.demo.artwork import CREAM, Colour, Image, colour, mix, words
from model.demo.view import Floats, Packaging, Sprite, opaque

WALLS = tuple(map(colour, words("d8cfc0 b9c4c9 8d7b68 6f7f74 c9b7a5 4d5560 a8a39a e3ddd3 7a5f4d 95a7b5 b5a06f 5d4a44")))
"""Colours of backgrounds, less saturated than the packaging."""
LEAVES = tuple(map(colour, words("4f7a4a 7d9a52 2f5d50 a3a85b 8a4f3d")))
SKINS = tuple(map(colour, words("f2bf98 c98557 84502f e8aa80")))
TAGS = tuple(map(colour, words("fff4d6 ffd84d f4f4f4 e2543f")))


def pick(rng: np.random.Generator, choices: Sequence[Colour]) -> Colour:
    """A random element of `choices`."""
    return choices[int(rng.integers(len(choices)))]


def _planks(image: Image, rng: np.random.Generator, first: Colour, second: Colour) -> None:
    height, width = image.shape[:2]
    step = int(rng.integers(36, 80))
    for top in range(0, height, step):
        image[top : top + step] = mix(first, second, float(rng.uniform(0, 0.35)))
        for _ in range(7):
            y, x, long = int(rng.integers(top, top + step)), int(rng.integers(-60, width)), int(rng.integers(40, 200))
            cv2.line(image, (x, y), (x + long, y + int(rng.integers(-2, 3))), mix(first, second, 0.5), 1, cv2.LINE_AA)
        cv2.line(image, (0, top), (width, top), mix(first, (0, 0, 0), 0.6), 2)


def _tiles(image: Image, rng: np.random.Generator, first: Colour, second: Colour) -> None:
    height, width = image.shape[:2]
    step = int(rng.integers(40, 90))
    for row, top in enumerate(range(0, height, step)):
        for left in range(-(row % 2) * step // 2, width, step):
            tone = mix(first, second, float(rng.uniform(0, 0.4)))
            cv2.rectangle(image, (left + 2, top + 2), (left + step - 2, top + step - 2), tone, -1)


def _gingham(image: Image, rng: np.random.Generator, first: Colour, second: Colour) -> None:
    step = int(rng.integers(14, 34))
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] // step % 2
    image[:] = first
    for count, share in ((1, 0.45), (2, 0.9)):
        image[rows + columns == count] = mix(first, second, share)


def _terrazzo(image: Image, rng: np.random.Generator, first: Colour, second: Colour) -> None:
    image[:] = first
    height, width = image.shape[:2]
    for _ in range(110):
        centre = rng.uniform(0, (width, height))
        chip = centre + rng.uniform(-16, 16, (5, 2))
        tone = mix(second, pick(rng, WALLS), float(rng.uniform(0, 1)))
        cv2.fillConvexPoly(image, cv2.convexHull(np.round(chip).astype(np.int32)), tone, cv2.LINE_AA)


def _plain(image: Image, rng: np.random.Generator, first: Colour, second: Colour) -> None:
    height = image.shape[0]
    horizon = int(height * rng.uniform(0.45, 0.8))
    image[:horizon] = first
    fall = np.linspace(0, 1, height - horizon)[:, None, None]
    image[horizon:] = np.array(second) * (0.8 + 0.2 * fall)


Wallpaper = Callable[[Image, np.random.Generator, Colour, Colour], None]
WALLPAPERS: tuple[Wallpaper, ...] = (_gingham, _plain, _planks, _terrazzo, _tiles)


def draw_wall(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Draw a background of `size` (width, height)."""
    image = np.empty((size[1], size[0], 3), np.uint8)
    first, second = pick(rng, WALLS), pick(rng, WALLS)
    image[:] = first
    WALLPAPERS[int(rng.integers(len(WALLPAPERS)))](image, rng, first, second)
    return image


def blend(image: Floats, colours: Floats, cover: Floats) -> None:
    """Composite colours, multiplied by `cover` beforehand, over `image` in place."""
    image *= 1 - cover[..., None]
    image += colours


def lay_fragment(image: Floats, item: Packaging, centre: tuple[float, float], height: float, rng: np.random.Generator) -> None:
    """Composite a piece of another product's label at `centre`, rotated at random, with a blurred shadow."""
    high, wide = item.front.shape[:2]
    piece = opaque(item.front[int(rng.uniform(0, 0.4) * high) : int(rng.uniform(0.6, 1) * high)])
    turn = cv2.getRotationMatrix2D((wide / 2, len(piece) / 2), float(rng.uniform(-35, 35)), height / high)
    brightness = rng.uniform(0.7, 1.05)
    # Only the window that the piece and its shadow can reach is touched.
    reach = int(height * np.hypot(high, wide) / high / 2) + 10
    left, top = max(0, int(centre[0]) - reach), max(0, int(centre[1]) - reach)
    window = image[top : int(centre[1]) + reach, left : int(centre[0]) + reach]
    turn[:, 2] += np.array(centre) - [wide / 2 + left, len(piece) / 2 + top]
    seen = cv2.warpAffine(piece, turn, (window.shape[1], window.shape[0])).astype(np.float32)
    cover = (seen[..., 3] / 255).astype(np.float32)
    window *= 1 - 0.35 * cv2.blur(cover, (15, 15))[..., None]
    blend(window, seen[..., :3] * brightness, cover)


def lay_sprite(image: Floats, sprite: Sprite, drop: float) -> None:
    """Composite a product over `image`, with its shadow `drop` pixels to the right and below."""
    shift = np.array([[1, 0, drop], [0, 1, drop * 0.6]], np.float32)
    shadow = cv2.warpAffine(sprite.cover, shift, (image.shape[1], image.shape[0]))
    image *= 1 - 0.45 * cv2.blur(shadow, (17, 17))[..., None]
    blend(image, sprite.colours, sprite.cover)


def _lay_sprig(image: Floats, centre: tuple[float, float], reach: float, rng: np.random.Generator) -> None:
    """Draw leaves in front of the product."""
    drawn = np.zeros((*image.shape[:2], 4), np.uint8)
    green = pick(rng, LEAVES)
    for _ in range(7):
        turn = float(rng.uniform(0, 360))
        x = centre[0] + reach * 0.55 * np.cos(np.radians(turn))
        y = centre[1] + reach * 0.55 * np.sin(np.radians(turn))
        tone = (*mix(green, CREAM, float(rng.uniform(0, 0.3))), 255)
        cv2.ellipse(drawn, (round(x), round(y)), (round(reach * 0.55), round(reach * 0.2)), turn, 0, 360, tone, -1)
    _lay_drawn(image, drawn)


def _lay_finger(image: Floats, centre: tuple[float, float], reach: float, rng: np.random.Generator) -> None:
    """Draw fingers in front of the product, from outside its outline."""
    drawn = np.zeros((*image.shape[:2], 4), np.uint8)
    skin = pick(rng, SKINS)
    inward = np.array([image.shape[1] / 2, image.shape[0] / 2]) - centre
    inward /= max(float(np.linalg.norm(inward)), 1)
    across = np.array([-inward[1], inward[0]])
    thick = max(5, round(reach * 0.6))
    for finger in range(int(rng.integers(2, 4))):
        tip = np.array(centre) + across * (finger - 0.8) * thick * 1.02 + inward * reach * (0.35 - 0.16 * abs(finger - 0.9))
        root, end, nail = (np.round(p).astype(int).tolist() for p in (tip - inward * reach * 6, tip, tip + inward * thick * 0.12))
        turn = float(np.degrees(np.arctan2(inward[1], inward[0])))
        cv2.line(drawn, root, end, (*mix(skin, (40, 40, 80), 0.35), 255), thick, cv2.LINE_AA)
        cv2.line(drawn, root, end, (*skin, 255), max(1, thick - 3), cv2.LINE_AA)
        cv2.ellipse(drawn, nail, (round(thick * 0.3), round(thick * 0.24)), turn, 0, 360, (*mix(skin, CREAM, 0.4), 255), -1)
    _lay_drawn(image, drawn)


def draw_tag(ground: Colour, rng: np.random.Generator) -> Image:
    """Draw a price tag: (60, 100, 3) uint8."""
    tag = np.empty((60, 100, 3), np.uint8)
    tag[:] = ground
    price = f"{rng.integers(1, 10)}.{rng.integers(10, 100)}"
    cv2.putText(tag, price, (10, 43), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (30, 30, 30), 3, cv2.LINE_AA)
    return tag


def _lay_tag(image: Floats, centre: tuple[float, float], reach: float, rng: np.random.Generator) -> None:
    """Draw a price tag in front of the product."""
    tag = opaque(draw_tag(pick(rng, TAGS), rng))
    turn = cv2.getRotationMatrix2D((50, 30), float(rng.uniform(-25, 25)), reach / 55)
    turn[:, 2] += np.array(centre) - [50, 30]
    _lay_drawn(image, np.asarray(cv2.warpAffine(tag, turn, (image.shape[1], image.shape[0])), np.uint8))


def _lay_drawn(image: Floats, drawn: Image) -> None:
    """Composite (H, W, 4) uint8 over `image`, with a blurred shadow."""
    cover = (drawn[..., 3] / 255).astype(np.float32)
    image *= 1 - 0.3 * cv2.blur(cover, (13, 13))[..., None]
    blend(image, (drawn[..., :3] * cover[..., None]).astype(np.float32), cover)


def cover_up(image: Floats, sprite: Sprite, others: Sequence[Packaging], rng: np.random.Generator, reach: float) -> None:
    """Occlude a part of the product's outline with leaves, fingers, a price tag or another product's label.

    Args:
        image: Image, which is changed in place.
        sprite: The product with its coverage.
        others: Products whose labels may occlude it.
        rng: Random generator of the kind and the position of the occlusion.
        reach: Size of the occlusion in pixels.
    """
    ys, xs = np.nonzero(sprite.cover > 0.5)
    middle = np.array([xs.mean(), ys.mean()])
    turn = rng.uniform(0, 2 * np.pi)
    half = np.array([np.ptp(xs), np.ptp(ys)]) / 2
    spot = middle + half * 0.85 * [np.cos(turn), np.sin(turn)]
    centre = float(spot[0]), float(spot[1])
    kind = int(rng.integers(4))
    if kind == 3:
        lay_fragment(image, others[int(rng.integers(len(others)))], centre, reach * 2.2, rng)
    else:
        (_lay_sprig, _lay_finger, _lay_tag)[kind](image, centre, reach, rng)


def light_up(image: Floats, rng: np.random.Generator, strength: float) -> Floats:
    """Change the lighting and the camera: gain, colour cast, gradient, a specular highlight, blur and noise.

    Args:
        image: (H, W, 3) float32, 0 to 255.
        rng: Random generator of the lighting.
        strength: Size of the changes: 0 for studio light, 1 for a dark room.
    """
    height, width = image.shape[:2]
    gain = np.exp(rng.uniform(-0.45, 0.25) * strength)
    cast = np.exp(rng.uniform(-0.1, 0.1, 3) * strength)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width) - 0.5
    turn, steep = rng.uniform(0, 2 * np.pi), 0.9 * strength * rng.uniform(0, 1)
    slope = 1 + xs * float(steep * np.cos(turn)) + ys * float(steep * np.sin(turn))
    lit = image * (gain * cast).astype(np.float32) * slope[..., None]
    x, y, spread, glare = rng.uniform((-0.3, -0.3, 0.003, 0), (0.3, 0.3, 0.03, 90 * strength)).tolist()
    lit += glare * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / spread)[..., None]
    lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), 0.3 + rng.uniform(0, 0.7) * strength), np.float32)
    lit += rng.standard_normal(lit.shape, np.float32) * rng.uniform(1, 5) * strength
    return np.clip(lit, 0, 255)
