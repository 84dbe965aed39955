"""Answers as pictures: the boxes of detected objects, or the neighbours beside the query."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from model.errors import InvalidInput
from model.files import atomic_file
from model.text import visible
from serving.operations.detect import DetectAnswer
from serving.operations.operation import Answer
from serving.operations.search import SearchAnswer

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")
_TILE = 224
_LINE = 20
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def draw_answer(answer: Answer, image: Path, out: Path, datasets: Path) -> None:
    """Draw an answer of `detect` or `search`.

    Args:
        answer: The answer.
        image: The image that was asked about.
        out: The picture to write: .png or .jpg.
        datasets: Folder of the fetched data sets, where the neighbours' images are looked for.

    Raises:
        InvalidInput: An answer that cannot be drawn, or another kind of file.
    """
    if out.suffix.lower() not in _FORMATS:
        raise InvalidInput(f"{out} would be no picture.", "Name it .png or .jpg.")
    with Image.open(image) as opened:
        query = ImageOps.exif_transpose(opened).convert("RGB")
    if isinstance(answer, DetectAnswer):
        picture = _with_boxes(query, answer)
    elif isinstance(answer, SearchAnswer):
        picture = _beside_neighbours(query, answer, datasets)
    else:
        raise InvalidInput("Only answers of search and detect are drawn.", "Leave --save away.")
    with atomic_file(out) as partial:
        picture.save(partial, _FORMATS[out.suffix.lower()])


def _with_boxes(picture: Image.Image, answer: DetectAnswer) -> Image.Image:
    """The scene with a box and a label for each object; objects of one class have one colour."""
    draw = ImageDraw.Draw(picture)
    size = max(12, min(picture.size) // 30)
    font = ImageFont.load_default(size)
    labels = sorted({each.label for each in answer.objects})
    for each in reversed(answer.objects):  # the surest lies on top
        colour = _COLOURS[labels.index(each.label) % len(_COLOURS)]
        left, top, right, bottom = each.box
        draw.rectangle((left, top, right, bottom), outline=colour, width=max(2, size // 6))
        said = f"{visible(each.label)} {each.score:.2f}"
        place = draw.textbbox((left, max(0, top - size - 4)), said, font=font)
        draw.rectangle(place, fill=colour)
        draw.text(place[:2], said, font=font, fill="white", anchor="la")
    return picture


def _beside_neighbours(query: Image.Image, answer: SearchAnswer, datasets: Path) -> Image.Image:
    """The query, and its neighbours with labels and scores."""
    tiles: list[tuple[Image.Image | None, str, str]] = [(query, "query", "")]
    for neighbour in answer.neighbours:
        matches = "" if neighbour.inliers is None else f", {neighbour.inliers} matches"
        tiles.append((_found(neighbour.id, datasets), neighbour.label, f"{neighbour.score:.3f}{matches}"))
    return _row(tiles)


def _found(name: str, datasets: Path) -> Image.Image | None:
    """The image of a gallery entry, if a fetched data set has it. An enrolled one's id begins with its data's version."""
    first, _, rest = name.partition("/")
    names = (name, rest) if "@" in first and rest else (name,)
    for folder, each in product(sorted(datasets.glob("*/")), names):
        file = (folder / each).resolve()
        if file.is_relative_to(folder.resolve()) and file.is_file():
            with Image.open(file) as opened:
                return ImageOps.exif_transpose(opened).convert("RGB")
    return None


def _row(tiles: Sequence[tuple[Image.Image | None, str, str]]) -> Image.Image:
    picture = Image.new("RGB", (len(tiles) * (_TILE + 8) + 8, _TILE + 2 * _LINE + 24), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for place, (image, label, figures) in enumerate(tiles):
        left = 8 + place * (_TILE + 8)
        if image is None:
            draw.rectangle((left, 8, left + _TILE, 8 + _TILE), outline="#999999")
            draw.text((left + 8, 16), "not on this machine", font=font, fill="#666666")
        else:
            fitted = ImageOps.contain(image, (_TILE, _TILE))
            picture.paste(fitted, (left + (_TILE - fitted.width) // 2, 8 + (_TILE - fitted.height) // 2))
        for line, said in enumerate((visible(label), figures)):
            draw.text((left, _TILE + 12 + line * _LINE), said[:34], font=font, fill="black")
    return picture
