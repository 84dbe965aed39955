"""Answers as images: the boxes of detected objects, the neighbours beside the query, and the local matches of two images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from model.errors import InvalidInput
from model.files import atomic_file
from model.schemas.golden import Places
from model.text import visible
from serving.operations.detect import DetectAnswer
from serving.operations.operation import Answer
from serving.operations.search import SearchAnswer
from serving.operations.verify import VerifyAnswer
from serving.released_data import place_of

COLOURS = (
    *("#e6194b", "#2e8b3d", "#4363d8", "#d9641a", "#911eb4", "#008080", "#9a6324", "#808000", "#c71585", "#1e6fa8", "#7f0000"),
    "#556b2f",
)
_SCENE = 1000
"""Longest side from which on a scene is drawn in its own size; a smaller one is enlarged, at most four times."""
_TILE, _GAP, _LINE = 256, 8, 20
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_Box = tuple[float, float, float, float]


class Tile(NamedTuple):
    """An image with two lines below it; None for an image that is not on this machine."""

    image: Image.Image | None
    title: str
    figures: str


def draw_answer(answer: Answer, images: Sequence[Path], out: Path, folders: Mapping[str, Path]) -> None:
    """Draw an answer of `detect`, `search` or `verify`.

    Args:
        answer: The answer.
        images: The images that were asked about.
        out: The image to write: .png or .jpg.
        folders: The fetched data of the release that answered, by what the ids of their entries begin with; see
            `serving.released_data`.

    Raises:
        InvalidInput: An answer that cannot be drawn, or another kind of file.
    """
    if out.suffix.lower() not in _FORMATS:
        raise InvalidInput(f"{out} would be no image.", "Name it .png or .jpg.")
    asked = [_opened(image) for image in images]
    if isinstance(answer, DetectAnswer):
        drawn = _with_boxes(asked[0], answer)
    elif isinstance(answer, SearchAnswer):
        drawn = _beside_neighbours(asked[0], answer, folders)
    elif isinstance(answer, VerifyAnswer):
        drawn = _side_by_side(asked, answer)
    else:
        raise InvalidInput("Only answers of search, detect and verify are drawn.", "Leave --save away.")
    with atomic_file(out) as partial:
        drawn.save(partial, _FORMATS[out.suffix.lower()])


def _opened(file: Path) -> Image.Image:
    with Image.open(file) as opened:
        return ImageOps.exif_transpose(opened).convert("RGB")


def _with_boxes(scene: Image.Image, answer: DetectAnswer) -> Image.Image:
    """The scene with a box and a label for each object; objects of one class have one colour."""
    factor = min(4, -(-_SCENE // max(scene.size)))
    drawn = scene.resize((scene.width * factor, scene.height * factor), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(drawn)
    size = max(12, min(drawn.size) // 40)
    font = ImageFont.load_default(size)
    boxes = [tuple(side * factor for side in each.box) for each in answer.objects]
    colours = colours_of([each.label for each in answer.objects])
    for box, colour in reversed([*zip(boxes, colours, strict=True)]):  # the surest lies on top
        draw.rectangle(box, outline=colour, width=max(2, size // 5))
    taken: list[_Box] = []
    for each, box, colour in zip(answer.objects, boxes, colours, strict=True):
        said = _shortened(f"{visible(each.label)} {each.score:.2f}", font, drawn.width)
        place = free_place(box, (font.getlength(said) + size // 2, size * 1.3), drawn.size, taken)
        taken.append(place)
        draw.rectangle(place, fill=colour)
        draw.text((place[0] + size // 4, (place[1] + place[3]) / 2), said, font=font, fill="white", anchor="lm")
    return drawn


def colours_of(labels: Sequence[str]) -> list[str]:
    """A colour for each label, as `#rrggbb`: equal labels have one."""
    known = sorted(set(labels))
    return [COLOURS[known.index(label) % len(COLOURS)] for label in labels]


def free_place(box: Sequence[float], size: tuple[float, float], whole: tuple[int, int], taken: Sequence[_Box]) -> _Box:
    """Where a label of a size goes: above its box, in it, or below it, where it covers least of the labels that are there."""
    left, top, right, bottom = box
    wide, high = size
    rows = (top - high, top, bottom - high, bottom)
    corners = [(x, y) for y in rows for x in (left, right - wide)]
    kept = [(min(max(0, x), whole[0] - wide), min(max(0, y), whole[1] - high)) for x, y in corners]
    places = [(x, y, x + wide, y + high) for x, y in kept]
    return min(places, key=lambda place: sum(_common(place, other) for other in taken))


def _common(one: _Box, other: _Box) -> float:
    """The area that two boxes share."""
    return max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(0.0, min(one[3], other[3]) - max(one[1], other[1]))


def _beside_neighbours(query: Image.Image, answer: SearchAnswer, folders: Mapping[str, Path]) -> Image.Image:
    """The query, and its neighbours with labels and scores; lines join what matches in the query and the best neighbour."""
    tiles = [Tile(query, "query", "")]
    for neighbour in answer.neighbours:
        matches = "" if neighbour.inliers is None else f", {neighbour.inliers} local matches"
        tiles.append(Tile(_found(neighbour.id, folders), neighbour.label, f"{neighbour.score:.3f}{matches}"))
    return _row(tiles, answer.neighbours[0].matches or () if answer.neighbours else ())


def _side_by_side(asked: Sequence[Image.Image], answer: VerifyAnswer) -> Image.Image:
    """The two images, and what is said of them; lines join what matches."""
    said = "the same" if answer.same else "not the same"
    matches = "" if answer.matches is None else f"{len(answer.matches)} local matches drawn"
    figures = f"similarity {answer.score:.3f}, threshold {answer.threshold:.3f}"
    return _row([Tile(asked[0], said, figures), Tile(asked[1], "", matches)], answer.matches or ())


def _found(name: str, folders: Mapping[str, Path]) -> Image.Image | None:
    """The image of a gallery entry, or the box in it that the entry is; None if no folder has it."""
    place = place_of(name, folders)
    if place is None:
        return None
    image = _opened(place.file)
    return image if place.box is None else image.crop(place.box)


def _row(tiles: Sequence[Tile], matches: Places) -> Image.Image:
    """Images beside each other; lines join places of the first with places of the second."""
    drawn = Image.new("RGB", (len(tiles) * (_TILE + _GAP) + _GAP, _TILE + 2 * _LINE + 3 * _GAP), "white")
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(14)
    shown: list[_Box | None] = []
    for number, (image, *lines) in enumerate(tiles):
        left = _GAP + number * (_TILE + _GAP)
        if image is None:
            draw.rectangle((left, _GAP, left + _TILE, _GAP + _TILE), outline="#999999")
            draw.text((left + _GAP, 2 * _GAP), "not on this machine", font=font, fill="#666666")
            shown.append(None)
        else:
            fitted = ImageOps.contain(image, (_TILE, _TILE))
            x, y = left + (_TILE - fitted.width) // 2, _GAP + (_TILE - fitted.height) // 2
            drawn.paste(fitted, (x, y))
            shown.append((x, y, fitted.width, fitted.height))
        for line, said in enumerate(lines):
            text = _shortened(visible(said), font, _TILE)
            draw.text((left, _TILE + 2 * _GAP + line * _LINE), text, font=font, fill="black")
    if matches and (here := shown[0]) and (there := shown[1]):
        _join(draw, here, there, matches)
    return drawn


def _join(draw: ImageDraw.ImageDraw, here: _Box, there: _Box, matches: Places) -> None:
    """Draw a line for each match between two images that lie at x, y with a width and a height."""
    for number, (x, y, u, v) in enumerate(matches):
        ends = [(box[0] + a * box[2], box[1] + b * box[3]) for box, a, b in ((here, x, y), (there, u, v))]
        colour = COLOURS[number % len(COLOURS)]
        draw.line(ends, fill="white", width=4)
        draw.line(ends, fill=colour, width=2)
        for end in ends:
            draw.circle(end, 4, fill=colour, outline="white")


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The text, or as much of its beginning as fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
