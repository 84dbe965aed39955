"""Several runs side by side: settings, figures with intervals, curves, and queries won and lost.

Nothing is computed anew: what is compared is what the runs left on record. Registered versions are compared by
`serving.version_diff`.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from model.data.manifest import read_manifest
from model.data.versions.fetch import fetch
from model.errors import Conflict, InvalidInput
from model.evaluation.metrics import PerQuery
from model.evaluation.won_lost import compare_queries, same_queries, save_page, won_and_lost
from model.home import Home
from model.schemas.data_pin import DataPin
from model.schemas.report import Report
from model.schemas.run_comparison import ComparedFigure, RunComparison
from model.schemas.run_record import RunRecord
from model.schemas.version_diff import WonAndLost
from serving.evidence import kept_queries, kept_report
from serving.lineage import readable
from serving.registry.runs import LOSS, VALIDATION, Runs
from serving.version_diff import Answered

MOST = 6
"""Maximum number of runs side by side."""
CURVES = (VALIDATION, LOSS)


def compare_runs(runs: Runs, run_ids: Sequence[str]) -> RunComparison:
    """What differs between some runs. What cannot be compared is left out and named in the notes.

    Args:
        runs: The record of runs.
        run_ids: Ids of the runs; the others are compared with the first one.

    Raises:
        InvalidInput: They are fewer than two or more than `MOST`.
        NotFound: There is no such run.
    """
    wanted, notes = list(dict.fromkeys(run_ids)), list[str]()
    if not 2 <= len(wanted) <= MOST:
        raise InvalidInput(f"From 2 to {MOST} runs are compared, not {len(wanted)}.", "Choose them in the list of runs.")
    found = runs.several(wanted)
    reports = [readable(partial(kept_report, runs, each), notes) for each in found]
    queries = cache(lambda number: kept_queries(runs, found[number]))  # those of the first run are compared with all others
    names = dict.fromkeys(name for run in found for name in run.params)
    return RunComparison(
        runs=tuple(found),
        settings={name: tuple(run.params.get(name, "") for run in found) for name in names},
        figures=_figures(found, reports),
        curves={name: tuple(tuple(runs.curve(each, name)) for each in wanted) for name in CURVES},
        queries=(None, *(_queries(queries, number, reports, notes) for number in range(1, len(found)))),
        notes=tuple(dict.fromkeys(notes)),
    )


def _answered(pins: Sequence[DataPin], before: PerQuery, after: PerQuery) -> Answered:
    """What two runs found for the same queries.

    Raises:
        Conflict: The reports are not on the same queries.
    """
    if pins[0].md5 != pins[1].md5 or not same_queries(before, after):
        raise Conflict(
            f"The reports of these runs are not on the same queries: {pins[0].named} and {pins[1].named}.",
            "Queries won and lost are counted between runs that were evaluated on one version of the data.",
        )
    return Answered(pins[1], before, after)


def save_run_queries(home: Home, runs: Runs, before: str, after: str, file: Path) -> None:
    """Write a self-contained page with the queries of the largest gains and losses as images.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        runs: The record of runs.
        before: Id of the first run.
        after: Id of the second run.
        file: The HTML file.

    Raises:
        NotFound: One of them kept no report, or the data are gone.
        InvalidInput: The report is damaged.
        Conflict: The reports are not on the same queries.
    """
    found = runs.several([before, after])
    answered = _answered([kept_report(runs, each).data for each in found], *(kept_queries(runs, each) for each in found))
    manifest = read_manifest(fetch(answered.pin, home.data, home.datasets)).searched
    save_page(file, compare_queries(manifest, answered.before, answered.after, (found[0].name, found[1].name)))


def _figures(runs: Sequence[RunRecord], reports: Sequence[Report | None]) -> dict[str, tuple[ComparedFigure | None, ...]]:
    curves = set(CURVES)
    reported = [name for report in reports if report for name in report.retrieval.figures]
    names = dict.fromkeys(name for name in [*reported, *(name for run in runs for name in run.metrics)] if name not in curves)
    return {name: tuple(_figure(name, *pair) for pair in zip(runs, reports, strict=True)) for name in names}


def _figure(name: str, run: RunRecord, report: Report | None) -> ComparedFigure | None:
    """A figure of a run, with its interval where its report states one."""
    if report and (figure := report.retrieval.figures.get(name)):
        return ComparedFigure(value=figure.value, lower=figure.lower, upper=figure.upper)
    if report and report.detection and name in {"ap50", "ap50_unlabelled"}:
        figure = getattr(report.detection, name)
        return ComparedFigure(value=figure.value, lower=figure.lower, upper=figure.upper)
    return ComparedFigure(value=run.metrics[name]) if name in run.metrics else None


def _queries(
    queries: Callable[[int], PerQuery], number: int, reports: Sequence[Report | None], notes: list[str]
) -> WonAndLost | None:
    """The queries that a run wins and loses against the first one; None if one of them kept no report, which is noted."""
    pins = [report.data for report in (reports[0], reports[number]) if report]
    if len(pins) < 2:
        return None
    answered = readable(lambda: _answered(pins, queries(0), queries(number)), notes)
    return won_and_lost(answered.before, answered.after) if answered else None
