"""Sentences about a model's use and limits. Each of them follows from the figures of its report."""

from model.evaluation.figures import GroupRow, worst_first
from model.schemas.accept_rates import AcceptFigures, MeasuredThreshold
from model.schemas.figures import Figure
from model.schemas.report import Report
from model.schemas.train_report import TrainReport

FEW_CLASSES = 20
_NAMED = 5


def statements(report: Report) -> dict[str, list[str]]:
    """Sentences about the use and the limits of a model, under their headings."""
    return {"Intended use": _uses(report), "Out of scope and limits": [*_limits(report), *_limits_by_group(report)]}


def grouped(report: Report) -> tuple[str, list[GroupRow]]:
    """`group` if the data name groups, else `class`, and the figures of each, worst first."""
    retrieval = report.retrieval
    if retrieval.by_group:
        return "group", worst_first(retrieval.by_group)
    return "class", worst_first(retrieval.by_class)


def verdict(report: Report) -> str:
    """Whether the training helped, by the paired interval of its gain in MAP@R on the test classes."""
    gain = report.retrieval.gain
    size = f"MAP@R is {abs(gain.value):.3f} {'below' if gain.value < 0 else 'above'} the untrained trunk's"
    if gain.upper < 0:
        return f"Training hurts: {size}."
    if gain.lower <= 0:
        interval = f"from {gain.lower:+.3f} to {gain.upper:+.3f}"
        return f"Training makes no clear difference: the interval of its gain in MAP@R reaches {interval}."
    if report.training.kept_init:
        return f"The {report.training.init_name} helps, the training steps add nothing: {size}."
    return f"Training helps: {size}."


def few_classes(report: Report) -> list[str]:
    """A warning where there are too few classes for the intervals."""
    classes = report.retrieval.classes
    return [f"With only {classes} test classes the intervals are likely to be too narrow."] if classes < FEW_CLASSES else []


def threshold_warnings(report: Report) -> list[str]:
    """Where a calibrated threshold does not give on the test classes what it is stated for, by the interval of its rate."""
    operations = {"verification": report.verification, "identification": report.identification}
    return [
        warning
        for name, found in operations.items()
        if found
        for rate, measured in sorted(found.thresholds.items(), reverse=True)
        if (warning := _threshold_warning(name, float(rate), measured, found.candidate.true_accept_at.get(rate)))
    ]


def _threshold_warning(name: str, rate: float, measured: MeasuredThreshold, best: Figure | None) -> str:
    wrongly, rightly = measured.false_accept, measured.true_accept
    said = (
        f"The threshold of {name} for {100 * rate:g} % false accepts, {measured.threshold:.3f}, "
        f"gives {100 * wrongly.value:.2f} % on the test classes"
    )
    if wrongly.lower > rate:
        return f"{said}: more is accepted than it states."
    if wrongly.upper < rate and best and best.value > 2 * rightly.value:
        shares = f"{100 * rightly.value:.1f} % are accepted rightly, where {100 * best.value:.1f} % could be"
        return f"{said}: it is too strict for them, and {shares}."
    return ""


def training_story(training: TrainReport) -> list[str]:
    """Sentences about what was chosen, the kept epoch, the sources of the gain, and saturated held-out classes."""
    return [f"{sentence[0].upper()}{sentence[1:].rstrip('.')}." for sentence in training.summary]


def reranking_story(report: Report) -> str:
    """What re-ranking changes on the test classes, and what the other figures are of; empty if the release does not re-rank."""
    found = report.reranking
    if found is None:
        return ""
    return (
        f"The first {found.candidates} answers are re-ranked by local features: {found.change('test')}, "
        f"their Recall@1 {found.recall_at_1_before:.4f} and {found.recall_at_1:.4f}. "
        "All other figures are of the global search, before re-ranking; the time of a query is with it."
    )


def _uses(report: Report) -> list[str]:
    gallery, test, reranking = report.gallery, report.splits["test"], report.reranking
    sorted_again = f", the first {reranking.candidates} sorted again by their local features" if reranking else ""
    said = [
        f"Given an image, to find images of the same thing among the {gallery.samples:,} of {gallery.classes:,} classes "
        f"in its gallery, the nearest first by cosine similarity{sorted_again}.",
        f"For classes that it was not trained on, too: it was tested on {test.classes:,} such classes and on no others.",
    ]
    more = ", more for images that resemble training classes" if report.calibration.normalised else ""
    for rate, calibrated in report.calibration.verify.items():
        said.append(
            f"To tell whether two images show the same thing: above a similarity of {calibrated.threshold:.3f}{more}, "
            f"at most {100 * float(rate):g} % of the unlike pairs of held-out images were taken for alike, "
            f"and {100 * calibrated.true_accept_rate:.1f} % of the like ones were recognised"
            f"{_on_test_classes(report.verification, rate)}."
        )
    return said


def _on_test_classes(measured: AcceptFigures | None, rate: str) -> str:
    """What a calibrated threshold gives on the test classes, to end a sentence with."""
    if measured is None or rate not in measured.thresholds:
        return ""
    found = measured.thresholds[rate]
    accepted = f"{100 * found.false_accept.value:.2f} % were accepted wrongly and {100 * found.true_accept.value:.1f} % rightly"
    return f"; on the test classes {accepted}"


def _limits(report: Report) -> list[str]:
    retrieval, size = report.retrieval, report.network.image_size
    recall_at_1 = retrieval.figures["recall_at_1"].value
    said = [
        f"Nothing was measured on other data than {report.data.path}: not other things, nor other places, light or cameras.",
        f"For {100 * (1 - recall_at_1):.1f} of 100 queries the nearest neighbour was of another class.",
        "There is always a nearest neighbour, also of a thing that is not in the gallery.",
        *_strangers(report),
        *threshold_warnings(report),
        *_missed(report),
        f"An image is squeezed to a square of {size} x {size} pixels: finer detail, and its proportions, are not seen.",
        f"{retrieval.queries_without_match:,} of {retrieval.queries:,} queries had no other image of their class "
        "to find; they count in no figure.",
    ]
    if retrieval.distractors:
        said.append(f"{retrieval.distractors:,} distractors were searched with the test images; none of them was a query.")
    if retrieval.gain.lower <= 0:
        said.append(verdict(report))
    if report.training.kept_init:
        said.append(f"The training steps added nothing: any gain is that of the {report.training.init_name}, which was kept.")
    return [*said, *few_classes(report)]


def _missed(report: Report) -> list[str]:
    """What an approximate search of the gallery misses."""
    if report.index is None or report.index.kind == "flat":
        return []
    return [
        f"The search of the gallery is approximate: it finds {100 * report.index.recall_at_10:.1f} % of an entry's "
        f"10 nearest, as measured on {report.index.queries:,} entries. All other figures are of exact search."
    ]


def _strangers(report: Report) -> list[str]:
    if not report.calibration.identify:
        return ["No threshold was calibrated: a similarity alone does not tell whether an answer is right."]
    return [
        f"For at most {100 * float(rate):g} % of the held-out images the best match among other classes had a similarity "
        f"above {calibrated.threshold:.3f}: what is not in the gallery may score up to that"
        f"{_on_test_classes(report.identification, rate)}."
        for rate, calibrated in report.calibration.identify.items()
    ]


def _limits_by_group(report: Report) -> list[str]:
    what, rows = grouped(report)
    plural = "groups" if what == "group" else "classes"
    worst = ", ".join(f"{row.name} ({row.map_at_r.value:.3f})" for row in rows[:_NAMED])
    below = [row.name for row in rows if row.map_at_r.value < row.untrained]
    named = ", ".join(below[:_NAMED]) + (", ..." if len(below) > _NAMED else "")
    said = [
        f"Of {len(rows)} {plural} the lowest MAP@R have: {worst}.",
        f"{len(below)} of {len(rows)} {plural} have a lower MAP@R than under the untrained trunk{': ' if below else ''}{named}.",
    ]
    if what == "class":
        said.append("The data name no groups: figures by class cannot show what classes share, such as light, camera or place.")
    return said
