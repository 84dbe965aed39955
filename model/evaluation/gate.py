"""The gate: whether a candidate may be released, by floors, a comparison with the champion, and budgets."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from model.config import GateConfig
from model.errors import Conflict, InvalidInput
from model.evaluation.bootstrap import check_paired
from model.evaluation.metrics import PerQuery
from model.evaluation.one_sided import group_upper_bounds, lower_bound
from model.schemas.data_pin import DataPin
from model.schemas.decision import ComparedChampion, Decision, RuleResult
from model.schemas.report import Report
from model.text import isolated

ROUNDING = 1e-9
"""Maximum rounding error of sums of binary fractions; a figure that equals its threshold holds."""


@dataclass(frozen=True)
class Evidence:
    """The measurements of a candidate.

    Attributes:
        release: Id of its release.
        candidate: Figures of the candidate.
        untrained: Figures of the untrained trunk on the same queries and gallery.
        groups: (Q,) group of each query, or its class if the data name no groups.
        latency_ms: Time of its fastest query, which other work on the machine does not slow.
        size_mb: Size of its release in MiB.
    """

    release: str
    candidate: PerQuery
    untrained: PerQuery
    groups: NDArray[np.str_]
    latency_ms: float
    size_mb: float


@dataclass(frozen=True)
class Champion:
    """The model that serves.

    Attributes:
        name: Name of the registered model.
        version: Version of the model.
        data: Data that it was trained on, as `name@revision`.
        figures: Its figures on the candidate's queries and gallery.
    """

    name: str
    version: str
    data: str
    figures: PerQuery

    @property
    def identity(self) -> ComparedChampion:
        """The champion without its figures."""
        return ComparedChampion(name=self.name, version=self.version, data=self.data)


def check_belong_together(report: Report, release: str, pin: DataPin) -> None:
    """Refuse a report of another release or of other data.

    Args:
        report: The report.
        release: Id of the release, which is a hash of all its files and its manifest.
        pin: Pin of the data.

    Raises:
        InvalidInput: The report is of another release, the release has changed since, or the data differ.
    """
    remedy = "Run the pipeline again."
    if report.release != release:
        raise InvalidInput(
            f"The report is of release {report.release}, and this release is {release}: "
            "it is another one, or its manifest was changed.",
            remedy,
        )
    if any(getattr(report.data, key) != getattr(pin, key) for key in ("path", "rev", "md5")):
        raise InvalidInput(
            f"The report is of other data ({report.data.named}, md5 {report.data.md5}) than {pin.named}, md5 {pin.md5}.", remedy
        )


def check_decided(decision: Decision, release: str) -> None:
    """Refuse a release that the gate did not pass.

    Raises:
        InvalidInput: The decision is of another release.
        Conflict: The gate refused this release.
    """
    if decision.release != release:
        raise InvalidInput(
            f"The decision is of release {decision.release}, and this release is {release}.", "Run the pipeline again."
        )
    if not decision.passed:
        raise Conflict(f"The gate refused release {release}.", " ".join(decision.refused))


def decide(evidence: Evidence, champion: Champion | None, config: GateConfig, *, samples: int = 1000, seed: int = 0) -> Decision:
    """Compare a candidate with every rule of the gate. A figure that is not finite fails its rule.

    Args:
        evidence: Measurements of the candidate.
        champion: The model that serves. If it is None, only the floors and budgets decide.
        config: Thresholds of the rules.
        samples: Number of resamples of the paired bootstrap, which draws whole classes.
        seed: Seed of the bootstrap.

    Raises:
        InvalidInput: The figures are not of the same queries and gallery.
    """
    rules = _floors(evidence, config)
    if champion is None:
        text = "There is no champion to compare with yet: the floors and budgets alone decide."
        rules.append(RuleResult(name="champion", held=True, figure=None, threshold=None, text=text))
    else:
        rules.append(_regression(evidence.candidate, champion, config, samples, seed))
        rules.append(_worst_group(evidence, champion, config))
    rules.append(_at_most("max_latency_ms", evidence.latency_ms, config.max_latency_ms, "The fastest query takes", "ms"))
    rules.append(_at_most("max_size_mb", evidence.size_mb, config.max_size_mb, "The release takes", "MB"))
    return Decision(
        made_at=datetime.now(UTC),
        release=evidence.release,
        passed=all(rule.held for rule in rules),
        champion=champion.identity if champion else None,
        approval=config.approval_rule,
        queries=int(evidence.candidate.has_match.sum()),
        rules=tuple(rules),
    )


def _floors(evidence: Evidence, config: GateConfig) -> list[RuleResult]:
    candidate, untrained = evidence.candidate, evidence.untrained
    check_paired(candidate, untrained)
    recall, precision, before = candidate.mean("recall_at_1"), candidate.mean("map_at_r"), untrained.mean("map_at_r")
    gain = f"MAP@R is {precision - before:+.4f} from the untrained trunk's ({precision:.4f} against {before:.4f})"
    return [
        _at_least("min_recall_at_1", recall, config.min_recall_at_1, f"Recall@1 is {recall:.4f}"),
        _at_least("min_map_at_r", precision, config.min_map_at_r, f"MAP@R is {precision:.4f}"),
        _at_least("min_gain_over_untrained", precision - before, config.min_gain_over_untrained, gain),
    ]


def _regression(candidate: PerQuery, champion: Champion, config: GateConfig, samples: int, seed: int) -> RuleResult:
    """Not inferior to the champion by more than the margin, or superior to it, whichever is asked."""
    change, classes = _change(candidate, champion)
    bound = lower_bound(change, classes, level=config.level, samples=samples, seed=seed)
    mean = change.mean() if change.size else math.nan
    text = (
        f"MAP@R is {mean:+.4f} from the champion's, {champion.identity}, on the same {change.size} queries, "
        f"and with {_confidence(config.level)} confidence no lower than {bound:+.4f}"
    )
    if config.comparison == "superior":
        return rule_result("comparison", bound > 0, bound, 0.0, f"{text}; more than 0 is asked")  # false for NaN
    return _at_least("max_regression", bound, -config.max_regression, text)


def _worst_group(evidence: Evidence, champion: Champion, config: GateConfig) -> RuleResult:
    """No group has become worse by more than the margin, as far as its queries can show."""
    margin, used = config.max_group_regression, evidence.candidate.has_match
    change, classes = _change(evidence.candidate, champion)
    if not change.size:
        return _at_least("max_group_regression", math.nan, -margin, "No group has a query that could be answered")
    present, index, queries = np.unique(evidence.groups[used], return_inverse=True, return_counts=True)
    bounds = group_upper_bounds(change, classes, index, level=config.level)
    if np.isposinf(bounds).any():
        text = f"No group has enough queries to show that it changed for the worse by more than {margin:.4f}: held."
        return RuleResult(name="max_group_regression", held=True, figure=None, threshold=-margin, text=text)
    worst = int(np.argmin(np.where(np.isnan(bounds), -np.inf, bounds)))  # a group without a finite mean counts as the worst
    text = (
        f"The group that changed for the worst, {isolated(str(present[worst]))} ({queries[worst]} queries), "
        f"is {change[index == worst].mean():+.4f} in MAP@R from the champion's, {champion.identity}, and with "
        f"{_confidence(config.level)} confidence in all {len(present)} groups no higher than {bounds[worst]:+.4f}"
    )
    return _at_least("max_group_regression", float(bounds[worst]), -margin, text)


def _change(candidate: PerQuery, champion: Champion) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The differences in MAP@R of the queries that have a possible match, and their classes.

    Raises:
        InvalidInput: The two were not evaluated on the same queries and gallery.
    """
    check_paired(candidate, champion.figures)
    used = candidate.has_match
    with np.errstate(invalid="ignore"):  # a figure that is not finite fails the rule
        return (candidate.map_at_r - champion.figures.map_at_r)[used], candidate.labels[used]


def _confidence(level: float) -> str:
    return f"{100 * (1 - level):g} %"


def _at_most(name: str, figure: float, most: float, said: str, unit: str) -> RuleResult:
    held = math.isfinite(figure) and figure <= most + ROUNDING
    return rule_result(name, held, figure, most, f"{said} {figure:.1f} {unit}; at most {most:.1f} {unit} is allowed")


def _at_least(name: str, figure: float, threshold: float, said: str) -> RuleResult:
    held = math.isfinite(figure) and figure >= threshold - ROUNDING
    return rule_result(name, held, figure, threshold, f"{said}; at least {threshold:.4f} is asked")


def rule_result(name: str, held: bool, figure: float, threshold: float, text: str) -> RuleResult:
    """A rule with its figure and verdict; a figure that is not finite is None."""
    measured, verdict = figure if math.isfinite(figure) else None, "held" if held else "NOT held"
    return RuleResult(name=name, held=held, figure=measured, threshold=threshold, text=f"{text}: {verdict}.")
