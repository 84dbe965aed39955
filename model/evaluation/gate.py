"""Whether a candidate may be released: floors, the champion on the same queries, its worst group, and budgets."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.evaluation.bootstrap import check_paired, paired_difference
from model.evaluation.metrics import PerQuery
from model.files import read_json, write_json

ROUNDING = 1e-9
"""What sums of binary fractions may be off by; a figure equal to its threshold holds."""


@dataclass(frozen=True)
class Rules:
    """What a candidate must hold.

    Attributes:
        min_recall_at_1: Floor of Recall@1.
        min_map_at_r: Floor of MAP@R.
        min_gain_over_untrained: By how much MAP@R must be above the untrained trunk's.
        max_regression: How far below the champion's MAP@R the lower bound of the paired interval may lie.
        max_group_regression: How far below the champion's the MAP@R of any one group may lie.
        max_latency_ms: Budget for one query; None for no budget.
        max_size_mb: Budget for the release; None for no budget.
    """

    min_recall_at_1: float = 0.0
    min_map_at_r: float = 0.0
    min_gain_over_untrained: float = 0.0
    max_regression: float = 0.01
    max_group_regression: float = 0.15
    max_latency_ms: float | None = None
    max_size_mb: float | None = None


class Outcome(TypedDict):
    """One rule, what was measured for it, and whether it held. `text` says it all in a sentence."""

    name: str
    held: bool
    figure: float | None
    threshold: float | None
    text: str


@dataclass(frozen=True)
class Decision:
    """The verdict: passed if every rule held.

    Attributes:
        passed: Whether the candidate may be released.
        against_champion: Whether there was a champion to compare with.
        queries: How many queries it was decided on (those that have a possible match).
        rules: Each rule in the order of `Rules`.
    """

    passed: bool
    against_champion: bool
    queries: int
    rules: list[Outcome]

    def to_json(self) -> dict[str, Any]:
        """As a JSON value; a figure that is not a finite number is null there."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "Decision":
        """From what `to_json` gave.

        Raises:
            InvalidInput: It is not a decision, or says 'passed' although a rule did not hold.
        """
        try:
            decision = cls(**value)
            consistent = decision.passed is all(rule["held"] for rule in decision.rules)
        except (TypeError, KeyError) as error:
            raise InvalidInput(f"This is no decision of the gate ({error}).", "Run the gate again.") from error
        if not consistent:
            raise InvalidInput("The gate's verdict and its rules contradict each other.", "Run the gate again.")
        return decision

    def save(self, path: Path) -> None:
        """Write to `path`, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> "Decision":
        """Read what `save` wrote."""
        return cls.from_json(read_json(path))


def decide(
    candidate: PerQuery,
    untrained: PerQuery,
    champion: PerQuery | None,
    rules: Rules,
    *,
    latency_ms: float | None = None,
    size_mb: float | None = None,
    groups: NDArray[np.str_],
    samples: int = 1000,
    seed: int = 0,
) -> Decision:
    """Hold `candidate` against every one of `rules`. A figure that is missing or not a number holds nothing.

    Args:
        candidate: The new model's figures.
        untrained: The untrained trunk's, on the same queries and gallery.
        champion: The champion's, on the same queries and gallery; None if there is none yet: floors and budgets alone.
        rules: The thresholds.
        latency_ms: Measured time of one query.
        size_mb: Measured size of the release.
        groups: (Q,) the group of each query; its class where the data name no groups.
        samples: Resamples of the paired bootstrap, which draws whole classes.
        seed: Of the bootstrap.

    Raises:
        InvalidInput: The figures are not of the same queries and gallery.
    """
    outcomes = _floors(candidate, untrained, rules)
    if champion is None:
        text = "There is no champion to compare with yet: the floors and budgets alone decide."
        outcomes.append(Outcome(name="champion", held=True, figure=None, threshold=None, text=text))
    else:
        outcomes.append(_regression(candidate, champion, rules.max_regression, samples, seed))
        outcomes.append(_worst_group(candidate, champion, rules.max_group_regression, groups))
    outcomes += _budgets(rules, latency_ms, size_mb)
    passed = all(outcome["held"] for outcome in outcomes)
    return Decision(passed, champion is not None, int(candidate.has_match.sum()), outcomes)


def _floors(candidate: PerQuery, untrained: PerQuery, rules: Rules) -> list[Outcome]:
    check_paired(candidate, untrained)
    recall, precision, before = candidate.mean("recall_at_1"), candidate.mean("map_at_r"), untrained.mean("map_at_r")
    gain, least = precision - before, rules.min_gain_over_untrained
    return [
        _at_least("min_recall_at_1", recall, rules.min_recall_at_1, f"Recall@1 is {recall:.4f}"),
        _at_least("min_map_at_r", precision, rules.min_map_at_r, f"MAP@R is {precision:.4f}"),
        _at_least(
            "min_gain_over_untrained",
            gain,
            least,
            f"MAP@R is {gain:+.4f} from the untrained trunk's ({precision:.4f} against {before:.4f})",
        ),
    ]


def _regression(candidate: PerQuery, champion: PerQuery, margin: float, samples: int, seed: int) -> Outcome:
    with np.errstate(invalid="ignore"):  # what is not finite fails below, in words
        change = paired_difference(candidate, champion, samples=samples, seed=seed)
    text = (
        f"MAP@R is {change.mean:+.4f} from the champion's on the same {int(candidate.has_match.sum())} queries, "
        f"and with 95 % confidence no lower than {change.lower:+.4f}"
    )
    return _at_least("max_regression", change.lower, -margin, text)


def _worst_group(candidate: PerQuery, champion: PerQuery, margin: float, groups: NDArray[np.str_]) -> Outcome:
    used = candidate.has_match
    change = (candidate.map_at_r - champion.map_at_r)[used]
    if not change.size:
        return _at_least("max_group_regression", math.nan, -margin, "No group has a query that could be answered")
    present, place, queries = np.unique(groups[used], return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=change) / queries
    worst = int(np.argmin(np.where(np.isfinite(means), means, -np.inf)))  # no number at all is the worst there is
    text = (
        f"The group that changed for the worst, {present[worst]} ({queries[worst]} queries), "
        f"is {means[worst]:+.4f} in MAP@R from the champion's"
    )
    return _at_least("max_group_regression", float(means[worst]), -margin, text)


def _budgets(rules: Rules, latency_ms: float | None, size_mb: float | None) -> list[Outcome]:
    budgets = (
        ("max_latency_ms", "A query", "ms", latency_ms, rules.max_latency_ms),
        ("max_size_mb", "The release", "MB", size_mb, rules.max_size_mb),
    )
    outcomes = []
    for name, what, unit, figure, most in budgets:
        if most is None:
            continue
        held = figure is not None and math.isfinite(figure) and figure <= most + ROUNDING
        said = f"{what} was not measured" if figure is None else f"{what} takes {figure:.1f} {unit}"
        outcomes.append(_outcome(name, held, figure, most, f"{said}; at most {most:.1f} {unit} is allowed"))
    return outcomes


def _at_least(name: str, figure: float, threshold: float, said: str) -> Outcome:
    held = math.isfinite(figure) and figure >= threshold - ROUNDING
    return _outcome(name, held, figure, threshold, f"{said}; at least {threshold:.4f} is asked")


def _outcome(name: str, held: bool, figure: float | None, threshold: float, text: str) -> Outcome:
    measured = figure if figure is not None and math.isfinite(figure) else None
    verdict = "held" if held else "NOT held"
    return Outcome(name=name, held=held, figure=measured, threshold=threshold, text=f"{text}: {verdict}.")
