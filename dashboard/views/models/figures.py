"""Figures of versions for people: their titles, and how they differ from the champion's."""

from collections.abc import Iterable
from dataclasses import dataclass

from model.evaluation.metrics import FIGURES
from model.schemas.model_version import Interval, ModelVersion

MAIN = ("recall_at_1", "map_at_r")
"""The figures that lists show."""
_TITLES = {
    **FIGURES,
    "eer": "Equal error rate",
    "ap50": "AP50",
    "ap50_unlabelled": "AP50, whatever the label",
    "gallery_recall_at_10": "Recall@10 of the index",
    "gallery_images": "Images in the gallery",
    "gallery_labels": "Labels in the gallery",
    "latency_ms": "Time of a query, median, ms",
    "latency_fastest_ms": "Time of a query, fastest, ms",
    "latency_ratio": "Times the trunk",
    "size_mb": "Size, MiB",
    "memory_mb": "Memory, MiB",
    "calibration_error": "Calibration error",
}
_RATES = {
    "tar_at_far_": "True accepts, verification, at a rate of ",
    "tpir_at_fpir_": "True accepts, identification, at a rate of ",
}
_LOWER = ("eer", "latency_ms", "latency_fastest_ms", "latency_ratio", "size_mb", "memory_mb", "calibration_error")
"""Figures of which less is better."""
_SIZES = ("gallery_images", "gallery_labels")
"""Figures of which neither is better."""


@dataclass(frozen=True)
class FigureRow:
    """A figure of a version beside that of another one.

    Attributes:
        title: Its name for people.
        value: The figure; None if the version has none.
        interval: Its interval; None if it has none, or it was not recorded.
        than: The other version's figure; None if it has none, or there is no other version.
        better: Whether it is better than the other one's; None: neither.
        digits: Digits after the point that are shown.
    """

    title: str
    value: float | None
    interval: Interval | None
    than: float | None
    better: bool | None
    digits: int = 3

    @property
    def difference(self) -> float | None:
        """The figure less the other one."""
        return self.value - self.than if self.value is not None and self.than is not None else None


def title(name: str) -> str:
    """The name of a figure for people."""
    for start, words in _RATES.items():
        if name.startswith(start):
            return words + name.removeprefix(start)
    return _TITLES.get(name, name)


def figure_rows(version: ModelVersion, other: ModelVersion | None, names: Iterable[str] = ()) -> list[FigureRow]:
    """The figures of a version beside those of another one, such as the champion.

    Args:
        version: The version.
        other: The other version; None, or the same version: nothing stands beside them.
        names: The figures that are shown; default: all that one of them has.
    """
    beside = other.figures if other is not None and other.version != version.version else {}
    shown = list(names) or [*version.figures, *(name for name in beside if name not in version.figures)]
    order = {name: place for place, name in enumerate(_TITLES)}
    return [
        FigureRow(
            title(name),
            version.figures.get(name),
            version.intervals.get(name),
            beside.get(name),
            _better(name, version.figures.get(name), beside.get(name)),
            0 if name in _SIZES else 1 if name.endswith(("_ms", "_mb")) else 3,
        )
        for name in (shown if names else sorted(shown, key=lambda name: order.get(name, len(order))))
    ]


def _better(name: str, value: float | None, than: float | None) -> bool | None:
    if value is None or than is None or value == than or name in _SIZES:
        return None
    return (value < than) if name in _LOWER else (value > than)
