"""The demonstration data: a small catalogue of packaged products, drawn rather than photographed.

The images need no download and no licence. The products of a family share brand and line; their flavours differ in a word, an
icon and the colour of a ribbon. Viewpoint, lighting, background and occlusion differ between the images of a product. Shelf
scenes with boxes are for detection.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from model.data.manifest import write_manifest
from model.demo.artwork import CREAM, LAYOUTS, PATTERNS, Image, Product, colour, mix, words
from model.demo.setting import WALLS, cover_up, draw_tag, draw_wall, lay_fragment, lay_sprite, light_up, pick
from model.demo.view import Floats, Packaging, Viewpoint, package, see
from model.errors import InvalidInput
from model.files import atomic_folder

Bounds = tuple[int, int, int, int]
"""xmin, ymin, xmax, ymax in pixels; the two last are the first column and row outside."""
Row = tuple[str, str, str, Bounds | None]
DrawProgress = Callable[[int, int], None]
"""Function that is called with the number of images drawn and the number of all images."""

BRANDS = words(
    "alba borea corvina dorsal elmet fjella gavotte halden isolde jorvik kestrel lumera marlo nordal oriel pemba quilla rivena "
    "solvan tamarin umbra velmar wexley yarrow zephra"
)
LINES = {
    "bottle": words("oat-drink kefir iced-tea cordial smoothie"),
    "box": words("oat-crackers green-tea crispbread muesli biscuits"),
    "can": words("sparkling-water tonic cold-brew spritz kombucha"),
    "pouch": words("lentil-chips granola trail-mix popcorn rice-bites"),
}
FLAVOURS = {
    "almond": ("nut", "a9744f"),
    "apple": ("apple", "7fae3a"),
    "chilli": ("flame", "c8281e"),
    "classic": ("star", "b5892c"),
    "cocoa": ("squares", "6b3f2a"),
    "forest-berry": ("berries", "7d2d6b"),
    "honey": ("honeycomb", "e0a526"),
    "lemon": ("citrus", "f2c414"),
    "mint": ("leaf", "3fa77a"),
    "orange": ("citrus", "ee8322"),
    "sea-salt": ("drop", "3b7fb5"),
    "strawberry": ("berries", "d8344f"),
    "vanilla": ("flower", "efcf70"),
    "wholegrain": ("grain", "c2913d"),
}
GROUNDS = words("2a7f86 c8553d e9b44c 4c6e9c 7a9e5f 8c5a85 d98a94 3f4756 e7d8b5 a3c4bc")
INKS = words("12343b 4a1c14 50331a 182a44 27401f 33203a 5a2230 171b24 3d4a36 234a4f")
PALETTES = tuple(zip(GROUNDS, INKS, strict=True))
"""The main colour and the dark colour of a family."""
FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_DUPLEX | cv2.FONT_ITALIC, cv2.FONT_HERSHEY_COMPLEX)
FAMILY = 4
"""Number of products of one brand and line."""
MOST = len(BRANDS) * 5 * FAMILY
"""Largest number of products: the names of every brand with five lines."""
SMALLEST = 32
"""Smallest side of an image in pixels."""
SCENE = (640, 360)
"""Width and height of a shelf scene in pixels."""


def _printed(name: str) -> str:
    return name.replace("-", " ").title()


T = TypeVar("T")


def _cycle(rng: np.random.Generator, values: Iterable[T], count: int) -> list[T]:
    """`count` values in rounds: each round is a random order of all values, so that all are about equally frequent."""
    known = sorted(values)  # type: ignore[type-var]
    rounds = [rng.permutation(len(known)) for _ in range(-(-count // len(known)))]
    return [known[i] for i in np.concatenate(rounds)[:count]]


def choose_products(count: int, rng: np.random.Generator) -> list[Product]:
    """Choose `count` products in families of `FAMILY`, with brands spread over the alphabet; sorted by name."""
    families = -(-count // FAMILY)
    looks = [_cycle(rng, values, families) for values in (LINES, LAYOUTS, PATTERNS)]
    palettes = _cycle(rng, PALETTES, families)
    taken: set[tuple[str, str]] = set()
    products: list[Product] = []
    for family in range(families):
        brand = BRANDS[family * len(BRANDS) // families if families <= len(BRANDS) else family % len(BRANDS)]
        shape, layout, pattern = (look[family] for look in looks)
        line = str(rng.choice([line for line in LINES[shape] if (brand, line) not in taken]))
        taken.add((brand, line))
        ground, ink = (colour(text) for text in palettes[family])
        font = int(rng.choice(FONTS))
        for flavour in rng.permutation(sorted(FLAVOURS))[: min(FAMILY, count - len(products))].tolist():
            icon, accent = FLAVOURS[flavour]
            name = f"{brand}-{line}-{flavour}"
            products.append(
                Product(
                    name=name,
                    brand=_printed(brand),
                    line=_printed(line),
                    flavour=_printed(flavour),
                    shape=shape,
                    layout=layout,
                    pattern=pattern,
                    icon=icon,
                    ground=ground,
                    ink=ink,
                    accent=colour(accent),
                    font=font,
                )
            )
    return sorted(products, key=lambda product: product.name)


def _canvas(size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """A background of 1.5 times the image's size; the image is reduced at the end, which smooths its edges."""
    return draw_wall((size[0] * 3 // 2, size[1] * 3 // 2), rng).astype(np.float32)


def _developed(canvas: Floats, size: tuple[int, int], rng: np.random.Generator, strength: float) -> Image:
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return light_up(small, rng, strength).astype(np.uint8)


def draw_image(items: Sequence[Packaging], chosen: int, size: int, rng: np.random.Generator) -> Image:
    """Draw an image of product `chosen` with pieces of the others around it: (size, size, 3) uint8."""
    canvas = _canvas((size, size), rng)
    side = canvas.shape[0]
    others = [item for item in items if item is not items[chosen]]
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, side, 2).tolist()
        lay_fragment(canvas, others[int(rng.integers(len(others)))], (x, y), side * rng.uniform(0.25, 0.6), rng)
    yaw, pitch, roll = rng.uniform([-0.55, 0.0, -0.2], [0.55, 0.35, 0.2]).tolist()
    x, y = (side / 2 + side * rng.uniform(-0.07, 0.07, 2)).tolist()
    sprite = see(items[chosen], Viewpoint(yaw, pitch, roll, x, y, side * rng.uniform(0.72, 0.94)), (side, side), rng)
    lay_sprite(canvas, sprite, side / 40)
    for _ in range(int(rng.choice(3, p=(0.5, 0.4, 0.1)))):
        cover_up(canvas, sprite, others, rng, side * rng.uniform(0.075, 0.15))
    return _developed(canvas, (size, size), rng, 1.0)


def _stand(canvas: Floats, item: Packaging, slot: tuple[int, int, int], board: int, rng: np.random.Generator) -> Bounds:
    """Draw a product on a shelf board and return its bounds on the canvas.

    Args:
        canvas: Canvas, which is changed in place.
        item: The product.
        slot: Left, width and height of its slot on the shelf.
        board: Row of the canvas that it stands on.
        rng: Random generator of its rotation and its height.
    """
    left, wide, high = slot
    tall = min(high * 0.83, wide / 0.9) * rng.uniform(0.88, 1)
    view = Viewpoint(rng.uniform(-0.25, 0.25), 0.0, 0.0, wide / 2, high - 10 - tall / 2, tall)
    sprite = see(item, view, (wide, high), rng)
    ys, xs = np.nonzero(sprite.cover > 0.5)
    top = board - int(ys.max()) - 1
    lay_sprite(canvas[top : top + high, left : left + wide], sprite, 5)
    return left + int(xs.min()), top + int(ys.min()), left + int(xs.max()) + 1, board


def _shelf(canvas: Floats, board: int, rng: np.random.Generator) -> None:
    """Draw a shelf board across the canvas, with price tags along its edge."""
    wood = pick(rng, WALLS)
    canvas[board - 8 : board] *= 0.7
    canvas[board : board + 20] = mix(wood, (255, 255, 255), 0.3)
    canvas[board + 18 : board + 22] = mix(wood, (0, 0, 0), 0.5)
    for x in range(30, canvas.shape[1] - 60, 150):
        canvas[board + 2 : board + 17, x : x + 40] = cv2.resize(draw_tag(CREAM, rng), (40, 15), interpolation=cv2.INTER_AREA)


def draw_scene(items: Sequence[Packaging], rng: np.random.Generator) -> tuple[Image, list[tuple[str, Bounds]]]:
    """Draw a shelf of two boards with six to twelve products: the image, and the name and box in pixels of each product."""
    canvas = _canvas(SCENE, rng)
    height, width = canvas.shape[:2]
    boxes: list[tuple[str, Bounds]] = []
    for row in range(2):
        board, high = (row + 1) * height // 2 - 24, height // 2 - 32
        _shelf(canvas, board, rng)
        count = int(rng.integers(3, 7))
        for position in range(count):
            item = items[int(rng.integers(len(items)))]
            slot = position * width // count, width // count, high
            xmin, ymin, xmax, ymax = _stand(canvas, item, slot, board, rng)
            boxes.append((item.product.name, (xmin * 2 // 3, ymin * 2 // 3, -(-xmax * 2 // 3), -(-ymax * 2 // 3))))
    return _developed(canvas, SCENE, rng, 0.6), boxes


def _write_image(file: Path, image: Image, rng: np.random.Generator) -> None:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 93))])
    if not done:
        raise RuntimeError(f"OpenCV could not encode {file.name}.")
    file.write_bytes(data.tobytes())


def _write_images(folder: Path, items: Sequence[Packaging], views: int, size: int, seed: int) -> Iterator[Row]:
    """Write `images/` and yield the row of each image. Every image has its own random generator and depends on no other."""
    for chosen, item in enumerate(items):
        name = item.product.name
        (folder / "images" / name).mkdir(parents=True)
        for view in range(views):
            rng = np.random.default_rng([seed, 1, chosen, view])
            path = f"images/{name}/{view:02d}.jpg"
            _write_image(folder / path, draw_image(items, chosen, size, rng), rng)
            yield path, name, "", None
    rng = np.random.default_rng([seed, 1, len(items) - 1, views])
    _write_image(folder / "query.jpg", draw_image(items, len(items) - 1, size, rng), rng)


def _write_scenes(folder: Path, items: Sequence[Packaging], scenes: int, seed: int) -> Iterator[list[Row]]:
    """Write `scenes/` and yield the rows of each scene."""
    (folder / "scenes").mkdir()
    for scene in range(scenes):
        rng = np.random.default_rng([seed, 2, scene])
        path = f"scenes/{scene:02d}.jpg"
        image, boxes = draw_scene(items, rng)
        _write_image(folder / path, image, rng)
        yield [(path, name, "scene", box) for name, box in boxes]


def draw_catalogue(
    out: Path,
    *,
    products: int = 40,
    views: int = 14,
    scenes: int = 24,
    size: int = 160,
    seed: int = 0,
    progress: DrawProgress | None = None,
) -> None:
    """Draw the demonstration data into the folder `out`, which appears whole or not at all.

    Writes `images/<product>/<nn>.jpg` (one product each), `scenes/<nn>.jpg` (shelves), `manifest.csv`, and `query.jpg`: one more
    view of the last product, which is in no row and serves as a query. Rows of single images leave split and box empty, for the
    import to decide; rows of scenes have the split `scene` and a box each. The same arguments give the same bytes with the same
    OpenCV.

    Args:
        out: Folder of the data; an existing one is replaced.
        products: Number of classes, 2 to `MOST`.
        views: Number of images of each product.
        scenes: Number of shelf scenes; may be 0.
        size: Width and height of a product's image, in pixels.
        seed: Seed of everything that is random.
        progress: Called after every image.

    Raises:
        InvalidInput: A number is out of range.
    """
    if not (2 <= products <= MOST and views >= 1 and scenes >= 0 and size >= SMALLEST and seed >= 0):
        raise InvalidInput(
            "A catalogue cannot be drawn from these numbers.",
            f"Ask for 2 to {MOST} products, 1 view or more, 0 scenes or more, {SMALLEST} pixels or more and a seed of 0 or more.",
        )
    show = progress or (lambda _done, _total: None)
    items = [package(product) for product in choose_products(products, np.random.default_rng([seed, 0]))]
    rows: list[Row] = []
    total = products * views + scenes
    with atomic_folder(out) as folder:
        for row in _write_images(folder, items, views, size, seed):
            rows.append(row)
            show(len(rows), total)
        for done, of_scene in enumerate(_write_scenes(folder, items, scenes, seed), start=len(rows) + 1):
            rows += of_scene
            show(done, total)
        write_manifest(folder, rows)
