"""An answer as the page shows it: its images, what is drawn on them, its scores on a scale, and itself in a few lines."""

import contextlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from PIL import ImageFont

from dashboard.images import FileImage, small_image
from dashboard.views.trying.served import Served
from model.data.thumbnails import Thumbnail
from model.errors import GlocalError, InvalidInput, NotFound
from model.schemas.golden import Neighbour, Places
from serving.drawing import COLOURS, colours_of, free_place
from serving.operations.detect import DetectAnswer
from serving.operations.embed import EmbedAnswer
from serving.operations.identify import IdentifyAnswer
from serving.operations.operation import Answer
from serving.operations.search import SearchAnswer
from serving.operations.thresholds import Accepted
from serving.operations.verify import VerifyAnswer
from serving.released_data import place_of

_SAID = 5
"""Neighbours or objects that a correction's record names."""
_LONGEST_LABEL = 40


class DrawnBox(NamedTuple):
    """A detected object as it is drawn, in pixels of the image: its box, and its label in a box of its own."""

    left: float
    top: float
    width: float
    height: float
    colour: str
    text: str
    label_left: float
    label_top: float
    label_width: float
    label_height: float


class Line(NamedTuple):
    """A line between two images that stand side by side, in pixels of the drawing."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str


@dataclass(frozen=True)
class Pair:
    """Two images side by side, scaled to one height, with lines between what matches."""

    width: float
    height: float
    first: float
    second_left: float
    second: float
    lines: tuple[Line, ...]


class ShownNeighbour(NamedTuple):
    """A neighbour with the address of its small image, empty if that is not on this machine, and its local matches drawn."""

    neighbour: Neighbour
    image: str
    large: str
    pair: Pair | None


class Mark(NamedTuple):
    """A value on a scale."""

    name: str
    value: float
    at: float
    kind: str


@dataclass(frozen=True)
class Item:
    """One question and its answer, or why there is none.

    Attributes:
        names: Names of the images.
        images: The images, reduced.
        error: Why there is no answer.
        answer: The answer.
        seconds: From the question to its answer, as this dashboard saw it.
        tokens: What a correction of this answer sends along, for each image.
        neighbours: The neighbours of a search.
        pair: The two images of a verification.
        examples: Ids of the samples that were asked about.
        files: Numbers of the images that were sent, among all of them.
    """

    names: tuple[str, ...]
    images: tuple[Thumbnail | None, ...] = ()
    error: GlocalError | None = None
    answer: Any = None
    seconds: float = 0.0
    tokens: tuple[str, ...] = ()
    neighbours: tuple[ShownNeighbour, ...] = ()
    pair: Pair | None = None
    examples: tuple[str, ...] = ()
    files: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """Name of the template that shows the answer."""
        return type(self.answer).__name__.removesuffix("Answer").lower()

    @property
    def dumped(self) -> dict[str, Any]:
        """The answer as JSON."""
        shown: dict[str, Any] = self.answer.model_dump(mode="json", exclude_none=True)
        return shown

    @property
    def boxes(self) -> list[DrawnBox]:
        """The objects of a detection as they are drawn, best first."""
        image = self.images[0]
        if image is None:
            return []
        size = max(12.0, max(image.width, image.height) / 42)
        font = ImageFont.load_default(size)
        taken: list[tuple[float, float, float, float]] = []
        drawn = []
        objects = self.answer.objects
        for each, colour in zip(objects, colours_of([one.label for one in objects]), strict=True):
            name = each.label if len(each.label) <= _LONGEST_LABEL else f"{each.label[: _LONGEST_LABEL - 1]}\u2026"
            text = f"{name} {each.score:.2f}"
            wanted = (min(image.width, 1.12 * font.getlength(text) + size), 1.5 * size)
            place = free_place(each.box, wanted, (image.width, image.height), taken)
            taken.append(place)
            left, top, right, bottom = each.box
            drawn.append(DrawnBox(left, top, right - left, bottom - top, colour, text, place[0], place[1], *wanted))
        return drawn

    @property
    def letters(self) -> float:
        """Size of the letters on the drawing of a detection, in pixels of the image."""
        image = self.images[0]
        return max(12.0, max(image.width, image.height) / 42) if image else 12.0

    @property
    def scale(self) -> list[Mark]:
        """Score, runner-up and threshold of an answer that accepts or refuses, on a scale that ends at 1."""
        answer: Accepted = self.answer
        found = [("threshold", answer.threshold, "threshold")]
        if answer.score is not None:
            found.append(("score", answer.score, "score"))
            if (margin := getattr(answer, "margin", None)) is not None:
                found.append(("runner-up", answer.score - margin, "other"))
        least = self.least
        return [Mark(name, value, 100 * (value - least) / (1 - least), kind) for name, value, kind in found]

    @property
    def least(self) -> float:
        """The least value of the scale: the next tenth below all of its values."""
        answer: Accepted = self.answer
        values = [answer.threshold, *([answer.score] if answer.score is not None else [])]
        if answer.score is not None and (margin := getattr(answer, "margin", None)) is not None:
            values.append(answer.score - margin)
        return max(-1.0, min(0.9, int(min(values) * 10 - 1) / 10))

    @property
    def bars(self) -> list[tuple[float, float]]:
        """The values of an embedding, as points from 0 to 1 and their values."""
        values = self.answer.embedding
        return [(number / max(1, len(values) - 1), value) for number, value in enumerate(values)]


def pair(one: Thumbnail, width: int, height: int, matches: Places) -> Pair:
    """Two images side by side, and the lines between what matches.

    Args:
        one: The first image.
        width: Width of the second image; only the ratio of its sides counts.
        height: Its height.
        matches: Places in both, as shares of width and height.
    """
    high, gap = 300.0, 12.0
    first, second = high * one.width / one.height, high * width / height
    left = first + gap
    lines = tuple(
        Line(x * first, y * high, left + u * second, v * high, COLOURS[number % len(COLOURS)])
        for number, (x, y, u, v) in enumerate(matches)
    )
    return Pair(left + second, high, first, left, second, lines)


def shown_neighbours(answer: SearchAnswer, asked: Thumbnail | None, served: Served) -> tuple[ShownNeighbour, ...]:
    """The neighbours of a search with their images, as far as they are on this machine."""
    shown = []
    for each in answer.neighbours:
        place = place_of(each.id, served.folders)
        drawn = None
        if place and asked and each.matches:
            with contextlib.suppress(NotFound, InvalidInput):
                other = small_image(FileImage.of(place.file, place.box), 640)
                drawn = pair(asked, other.width, other.height, each.matches)
        image, large = (served.address(each.id, side) if place else "" for side in (320, 640))
        shown.append(ShownNeighbour(each, image, large, drawn))
    return tuple(shown)


def said_of(answer: Answer) -> tuple[str, ...]:
    """An answer in a few lines for people."""
    match answer:
        case SearchAnswer():
            return tuple(f"{each.label}, similarity {each.score:.3f}" for each in answer.neighbours[:_SAID]) or ("no neighbour",)
        case IdentifyAnswer():
            best = f"similarity {answer.score or 0:.4f}, threshold {answer.threshold:.4f}"
            return (f"{answer.label}, {best}" if answer.known else f"unknown; the best match is {answer.best}, {best}",)
        case VerifyAnswer():
            return (f"{'the same' if answer.same else 'not the same'}, similarity {answer.score:.4f}",)
        case DetectAnswer():
            return tuple(f"{each.label}, score {each.score:.2f}" for each in answer.objects[:_SAID]) or ("no object",)
        case EmbedAnswer():
            return (f"{len(answer.embedding)} dimensions",)
    return ()
