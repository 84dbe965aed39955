"""The rendering of a drawn product: its three-dimensional shape from a viewpoint, without surroundings."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.demo.artwork import HEIGHT, WIDTH, Image, Product, draw_back, draw_label, mix

Floats = NDArray[np.float32]
CAMERA = 3.4
"""Distance of the camera in product heights: small, so that perspective is visible."""


@dataclass(frozen=True)
class Packaging:
    """A product with the images of its printed sides, which are drawn once for all views.

    Attributes:
        product: The product.
        front: (H, W, 3) uint8, its label.
        side: (H, W, 3) uint8, the side of the packaging.
    """

    product: Product
    front: Image
    side: Image


@dataclass(frozen=True)
class Viewpoint:
    """The viewpoint of an image. Angles are in radians; `x` and `y` (the product's middle) and `height` are in pixels."""

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Sprite:
    """A rendered product without background: (H, W, 3) float32 colours and (H, W) float32 coverage from 0 to 1."""

    colours: Floats
    cover: Floats


def package(product: Product) -> Packaging:
    """Draw the sides of a product."""
    return Packaging(product, draw_label(product), draw_back(product))


def _quad(width: float, height: float, depth: float) -> NDArray[np.float64]:
    """Corners of an upright rectangle `depth` before the middle: clockwise from the top left; y points down."""
    x, y = width / 2, height / 2
    return np.array([[-x, -y, depth], [x, -y, depth], [x, y, depth], [-x, y, depth]])


def _project(points: NDArray[np.float64], view: Viewpoint) -> Floats:
    """(N, 3) points of the product to (N, 2) pixels."""
    cy, sy = np.cos(view.yaw), np.sin(view.yaw)
    cp, sp = np.cos(view.pitch), np.sin(view.pitch)
    cr, sr = np.cos(view.roll), np.sin(view.roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tip = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    spin = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    seen = points @ (spin @ tip @ turn).T
    scale = view.height * CAMERA / (CAMERA - seen[:, 2:])
    return (seen[:, :2] * scale + [view.x, view.y]).astype(np.float32)


def _paint(sprite: Sprite, texture: Image, corners: Floats) -> None:
    """Warp a (h, w, 4) texture onto the sprite so that its corners lie at `corners`."""
    height, width = texture.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    size = sprite.cover.shape[1], sprite.cover.shape[0]
    seen = cv2.warpPerspective(texture, cv2.getPerspectiveTransform(source, corners), size).astype(np.float32)
    alpha = seen[..., 3] / 255
    sprite.colours[:] = sprite.colours * (1 - alpha[..., None]) + seen[..., :3]
    sprite.cover[:] = np.maximum(sprite.cover, alpha)


def opaque(texture: Image, shade: float = 1.0) -> Image:
    """An opaque image with its brightness multiplied by `shade`: (h, w, 4) uint8."""
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(texture, alpha=shade), cv2.COLOR_BGR2BGRA), np.uint8)


def _premultiplied(colours: NDArray[np.floating[Any]], alpha: NDArray[np.floating[Any]]) -> Image:
    """Colours multiplied by their coverage, so that interpolation makes no dark edges: (h, w, 4) uint8."""
    return np.dstack([np.clip(colours, 0, 255) * alpha[..., None], alpha * 255]).astype(np.uint8)


def _draw_box(sprite: Sprite, item: Packaging, view: Viewpoint) -> None:
    """Draw a carton: its front, its visible side, and its top where the camera is above it."""
    width, depth = WIDTH / HEIGHT, 0.32
    ground, ink = item.product.ground, item.product.ink
    lid = np.full((64, 160, 3), mix(ground, ink, 0.25), np.uint8)
    wide, deep, high = width / 2, depth / 2, 0.5
    right = np.array([[wide, -high, deep], [wide, -high, -deep], [wide, high, -deep], [wide, high, deep]])
    left = right[[1, 0, 3, 2]] * [-1, 1, 1]
    top = np.array([[-wide, -high, -deep], [wide, -high, -deep], [wide, -high, deep], [-wide, -high, deep]])
    faces = ((lid, top, 1.1), (item.side, right, 0.8), (item.side, left, 0.7), (item.front, _quad(width, 1, deep), 1.0))
    for texture, corners, shade in faces:
        seen = _project(corners, view)
        if cv2.contourArea(seen, oriented=True) > 0:
            _paint(sprite, opaque(texture, shade), seen)


def _wrap(item: Packaging) -> Image:
    """The texture of a can or a bottle, twice as wide as a label: front and side, and the caps and rims."""
    steel = (196, 192, 188)
    product = item.product
    body = np.roll(np.hstack([item.front, item.side]), WIDTH // 2, axis=1)
    if product.shape == "bottle":
        glass = mix(product.ground, (255, 255, 255), 0.35)
        bands = [(28, product.ink), (64, glass), (8, glass)]
    else:
        bands = [(10, steel), (4, product.ink), (8, steel)]
    cap, neck, rim = (np.full((high, 2 * WIDTH, 3), tone, np.uint8) for high, tone in bands)
    cap[:, ::8] = mix(bands[0][1], (30, 30, 30), 0.2)
    return np.vstack([cap, neck, body, rim])


def _profile(shape: str, rows: Floats) -> Floats:
    """The radius of a can or bottle, as a share of the largest radius, at each share of its height."""
    if shape == "can":
        return 1 - 0.06 * np.clip(1 - rows / 0.05, 0, 1) - 0.05 * np.clip((rows - 0.97) / 0.03, 0, 1)
    shoulder = np.clip((rows - 0.08) / 0.17, 0, 1)
    return 0.36 + 0.64 * (3 * shoulder**2 - 2 * shoulder**3) - 0.05 * np.clip((rows - 0.97) / 0.03, 0, 1)


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Row and column of every pixel."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return rows, columns


def _bend(wrap: Image, shape: str, yaw: float, bow: float) -> Image:
    """Project a texture onto a can or bottle rotated by `yaw`, whose rims are ellipses `bow` pixels high: (h, w, 4) uint8."""
    high, wide = wrap.shape[0], 150
    rows, columns = _grid(round(high + 2 * bow), wide)
    across = (columns + 0.5) / wide * 2 - 1
    radius = _profile(shape, np.clip((rows - bow) / high, 0, 1))
    s = np.clip(across / radius, -1, 1)
    source_rows = rows - bow - bow * np.sqrt(1 - s**2) * radius
    source_columns = ((np.arcsin(s) - yaw) / (2 * np.pi) + 0.5) % 1 * wrap.shape[1]
    skin = cv2.remap(wrap, source_columns, source_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    edge = np.clip((radius - np.abs(across)) * wide / 2 + 0.5, 0, 1)
    inside = edge * np.clip(source_rows + 1, 0, 1) * np.clip(high - source_rows, 0, 1)
    shade = 0.5 + 0.5 * np.sqrt(np.clip(1 - (s + 0.2) ** 2 / 1.44, 0, 1))
    gloss = 70 * np.exp(-(((s + 0.45) / 0.09) ** 2))
    colours = skin * shade[..., None] + gloss[..., None]
    rim = float(radius[0, 0])
    lid = ((across / rim) ** 2 + ((rows - bow) / max(bow * rim, 1)) ** 2 < 1) & (inside < 0.5)
    colours[lid] = wrap[0, 0] * 0.9
    return _premultiplied(colours, np.maximum(inside, lid))


def _draw_turned(sprite: Sprite, item: Packaging, view: Viewpoint) -> None:
    """Draw a can or bottle with the label around it, rotated by the yaw."""
    wrap, shape = _wrap(item), item.product.shape
    bent = _bend(wrap, shape, view.yaw, 75 * float(np.sin(view.pitch)))
    stout = 1.15 if shape == "can" else 1.1
    corners = _quad(stout * bent.shape[1] / wrap.shape[0], bent.shape[0] / wrap.shape[0], 0)
    _paint(sprite, bent, _project(corners, replace(view, yaw=0.0, pitch=0.0)))


def _creases(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """The folds of a pouch: a sum of five sine waves, about -3 to 3."""
    folds = np.zeros_like(x)
    for _ in range(5):
        turn, rate, phase = rng.uniform(0, np.pi), rng.uniform(6, 15), float(rng.uniform(0, 2 * np.pi))
        folds += np.sin(x * float(rate * np.cos(turn)) + y * float(2 * rate * np.sin(turn)) + phase)
    return folds


def _draw_pouch(sprite: Sprite, item: Packaging, view: Viewpoint, rng: np.random.Generator) -> None:
    """Draw a pouch with seams, a wider middle, and creases that differ between views."""
    rows, columns = _grid(HEIGHT, WIDTH)
    x, y = columns * np.float32(2 / WIDTH) - 1, rows * np.float32(1 / HEIGHT)
    waist = 1 - 0.05 * np.sin(np.pi * y) + 0.012 * np.sin(6 * np.pi * y + float(rng.uniform(0, 6)))
    crease = _creases(x, y, rng)
    s = np.clip(x / waist, -1, 1)
    source_columns = (s * 0.5 + 0.5) * (WIDTH - 1) + 1.6 * crease
    source_rows = rows + 1.6 * np.roll(crease, 40, axis=0)
    skin = cv2.remap(item.front, source_columns, source_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    bulge = np.sqrt(1 - 0.85 * s**2) * np.sin(np.pi * (0.12 + 0.76 * y)) ** 0.4
    seam = np.minimum(y, 1 - y) < 0.05
    shade = np.where(seam, 0.75 + 0.12 * np.sin(columns * 1.2), 0.62 + 0.38 * bulge + 0.035 * crease)
    gloss = 50 * np.clip(crease - 1.8, 0, 1) * (1 - np.abs(s))
    edge = np.clip((waist - np.abs(x)) * WIDTH / 2, 0, 1)
    texture = _premultiplied(skin * shade[..., None] + gloss[..., None], edge)
    _paint(sprite, texture, _project(_quad(WIDTH / HEIGHT, 1, 0), view))


def see(item: Packaging, view: Viewpoint, size: tuple[int, int], rng: np.random.Generator) -> Sprite:
    """Render the product from `view` without a background, on a canvas of `size` (width, height)."""
    sprite = Sprite(np.zeros((size[1], size[0], 3), np.float32), np.zeros((size[1], size[0]), np.float32))
    if item.product.shape == "box":
        _draw_box(sprite, item, view)
    elif item.product.shape == "pouch":
        _draw_pouch(sprite, item, view, rng)
    else:
        _draw_turned(sprite, item, view)
    return sprite
