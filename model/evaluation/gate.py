"""The gate: whether a candidate may be released, by floors, a comparison with the champion, and budgets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.config import GateConfig
from model.errors import Conflict, InvalidInput
from model.evaluation.bootstrap import check_paired
from model.evaluation.metrics import PerQuery
from model.evaluation.one_sided import group_upper_bounds, lower_bound
from model.schemas.accept_rates import AcceptFigures, MeasuredThreshold
from model.schemas.data_pin import DataPin
from model.schemas.decision import ComparedChampion, Decision, RuleResult
from model.schemas.detection_figures import DetectionFigures
from model.schemas.report import Report
from model.text import counted, isolated

if TYPE_CHECKING:
    from model.evaluation.average_precision import PairedScenes

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
        memory_mb: Peak memory of a process that answers queries with it, in MiB.
        accepted: Its thresholds as measured on the test classes, by operation.
        detection: Figures of its detections; None if it does not detect, or there is no scene to measure on.
    """

    release: str
    candidate: PerQuery
    untrained: PerQuery
    groups: NDArray[np.str_]
    latency_ms: float
    size_mb: float
    memory_mb: float
    accepted: Mapping[str, AcceptFigures] = field(default_factory=dict)
    detection: DetectionFigures | None = None


@dataclass(frozen=True)
class Champion:
    """The model that serves.

    Attributes:
        name: Name of the registered model.
        version: Version of the model.
        data: Data that it was trained on, as `name@revision`.
        figures: Its figures on the candidate's queries and gallery.
        scenes: What candidate and champion detect in the same scenes; None if the champion does not detect, or is the candidate.
    """

    name: str
    version: str
    data: str
    figures: PerQuery
    scenes: "PairedScenes | None" = None

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
    rules += _detection(evidence, champion, config, samples, seed)
    rules += _calibration(evidence, config)
    rules.append(_at_most("max_latency_ms", evidence.latency_ms, config.max_latency_ms, "The fastest query takes", "ms"))
    rules.append(_at_most("max_size_mb", evidence.size_mb, config.max_size_mb, "The release takes", "MiB"))
    said = "A process that answers queries takes"
    rules.append(_at_most("max_memory_mb", evidence.memory_mb, config.max_memory_mb, said, "MiB of memory"))
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


def _detection(evidence: Evidence, champion: Champion | None, config: GateConfig, samples: int, seed: int) -> list[RuleResult]:
    """AP50 against its floor and the champion's. Releases that do not detect have neither rule, unless a floor is set."""
    rules, found = list[RuleResult](), evidence.detection
    if found:
        text = f"AP50 of detection is {found.ap50.value:.4f} on {counted(found.scenes, 'scene')}"
        rules.append(_at_least("min_ap50", found.ap50.value, config.min_ap50, text))
    elif config.min_ap50:
        text = "AP50 of detection is not known: the release does not detect, or no scene with known boxes is left to measure on"
        rules.append(_at_least("min_ap50", math.nan, config.min_ap50, text))
    if champion and champion.scenes and champion.scenes.truth:
        rules.append(_ap50_regression(champion, champion.scenes, config, samples, seed))
    return rules


def _ap50_regression(champion: Champion, scenes: "PairedScenes", config: GateConfig, samples: int, seed: int) -> RuleResult:
    """Not inferior to the champion in detection by more than the margin."""
    from model.evaluation.average_precision import ap50_change  # torch, which releases that do not detect do without

    margin, change = config.max_ap50_regression, ap50_change(scenes, level=config.level, samples=samples, seed=seed)
    text = f"AP50 of detection is {change.mean:+.4f} from the champion's, {champion.identity}, on "
    if len(scenes.truth) == 1:
        text += "one scene alone, which cannot show how scenes vary: held."
        return RuleResult(name="max_ap50_regression", held=True, figure=None, threshold=-margin, text=text)
    text += (
        f"the same {len(scenes.truth)} scenes, and with {_confidence(config.level)} confidence no lower than {change.lower:+.4f}"
    )
    return _at_least("max_ap50_regression", change.lower, -margin, text)


def _calibration(evidence: Evidence, config: GateConfig) -> list[RuleResult]:
    """No stated false-accept rate is farther than the margin from its interval on the test classes."""
    measured = [
        (_distance(float(rate), each), operation, rate, each)
        for operation, figures in evidence.accepted.items()
        for rate, each in figures.thresholds.items()
    ]
    if not measured:
        return []
    error, operation, rate, worst = max(measured, key=lambda one: one[0])
    found = worst.false_accept
    text = (
        f"Of the thresholds, that of {operation} for a false-accept rate of {rate} is farthest from what it states: on the test "
        f"classes the rate is {found.value:.4f} [{found.lower:.4f}, {found.upper:.4f}], {error:.4f} from the interval; "
        f"at most {config.max_calibration_error:.4f} is allowed"
    )
    held = math.isfinite(error) and error <= config.max_calibration_error + ROUNDING
    return [rule_result("max_calibration_error", held, error, config.max_calibration_error, text)]


def _distance(rate: float, measured: MeasuredThreshold) -> float:
    """Distance of a stated rate from the interval of the measured one; 0 within it."""
    return max(measured.false_accept.lower - rate, rate - measured.false_accept.upper, 0.0)


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
