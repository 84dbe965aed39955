"""How often the gate errs by chance, and what it can see: decisions on simulated pairs of models.

    python -m benchmarks.gate --json

A simulated model has a MAP@R for each query: the difficulty of the class, which all models share, a deviation of the model on the
class, one on the query, and many queries on which two models agree. Classes have between 2 and `--queries` queries.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy import stats

from model.config import GateConfig
from model.evaluation.gate import Champion, Evidence, decide
from model.evaluation.metrics import PerQuery
from model.schemas.decision import RuleResult

CLASSES, GROUPS = (10, 24, 80), 6
"""Numbers of classes that are simulated, and the groups that they are dealt to in turn."""
AGREED, BY_CLASS, BY_QUERY = 0.5, 0.06, 0.2
"""Share of the queries that two models answer alike; deviations of a model on a class, and on a query."""
GAIN, DROP = 0.06, 0.25
"""True differences whose discovery is counted: a gain on all queries, a drop beyond the margin in one group."""


class Simulated:
    """Two models on the same queries.

    Args:
        random: Source of chance.
        classes: Number of classes.
        queries: Maximum queries of a class.
    """

    def __init__(self, random: np.random.Generator, classes: int, queries: int) -> None:
        self.labels = np.repeat(np.arange(classes), random.integers(2, queries + 1, classes))
        self.groups = self.labels % GROUPS
        base = random.uniform(0.3, 0.7, classes)[self.labels]
        agreed = random.random(len(self.labels)) < AGREED
        self.champion, other = (base + self._deviation(random, classes) for _ in range(2))
        self.candidate = np.where(agreed, self.champion, other)

    def _deviation(self, random: np.random.Generator, classes: int) -> NDArray[np.float64]:
        return random.normal(0, BY_CLASS, classes)[self.labels] + random.normal(0, BY_QUERY, len(self.labels))

    def decide(self, change: NDArray[np.float64] | float, config: GateConfig) -> dict[str, RuleResult]:
        """The gate's rules on the champion and on the candidate with a true change of its queries, (Q,) or one number."""
        champion, candidate = self._figures(self.champion), self._figures(self.candidate + change)
        evidence = Evidence("simulated", candidate, candidate, self.groups.astype(str), latency_ms=1, size_mb=1, memory_mb=1)
        decision = decide(evidence, Champion("simulated", "1", "none@none", champion), config)
        return {rule.name: rule for rule in decision.rules}

    def _figures(self, values: NDArray[np.float64]) -> PerQuery:
        count = len(values)
        none = np.full((count, 1), -1)
        return PerQuery(
            ids=np.arange(count).astype(str),
            labels=self.labels,
            ks=(1,),
            recall=np.zeros((count, 1), bool),
            map_at_r=values,
            r_precision=values,
            has_match=np.ones(count, bool),
            neighbours=none,
            scores=none.astype(np.float32),
            best_right=none[:, 0].astype(np.float32),
            best_wrong=none[:, 0].astype(np.float32),
        )


def share(pairs: int, classes: int, queries: int, is_counted: Callable[[Simulated], bool]) -> dict[str, float]:
    """The share of simulated pairs that are counted, with its exact (Clopper-Pearson) interval."""
    random = np.random.default_rng(classes)
    count = sum(is_counted(Simulated(random, classes, queries)) for _ in range(pairs))
    interval = stats.binomtest(count, pairs).proportion_ci()
    return {"value": count / pairs, "low": round(float(interval.low), 4), "high": round(float(interval.high), 4)}


def measure(classes: int, pairs: int, queries: int, level: float) -> dict[str, Any]:
    """The rates at one number of classes."""
    superior, default = GateConfig(comparison="superior", level=level), GateConfig(level=level)
    margin, worse = default.max_regression, default.max_group_regression

    def drop(one: Simulated) -> NDArray[np.float64]:
        return np.where(one.groups == 0, -worse - DROP, 0.0)

    def found(one: Simulated) -> bool:
        rule = one.decide(drop(one), default)["max_group_regression"]
        return not rule.held and "worst, 0 (" in rule.text

    counted: dict[str, Callable[[Simulated], bool]] = {
        "false_pass_rate": lambda one: one.decide(0.0, superior)["comparison"].held,
        "false_pass_rate_at_margin": lambda one: one.decide(-margin, default)["max_regression"].held,
        "worst_group_false_alarm_rate": lambda one: not one.decide(-worse, default)["max_group_regression"].held,
        "power": lambda one: one.decide(GAIN, superior)["comparison"].held,
        "worst_group_power": found,
    }
    return {name: share(pairs, classes, queries, each) for name, each in counted.items()}


def main(
    pairs: Annotated[int, typer.Option(min=1, help="Simulated pairs for each rate.")] = 2000,
    queries: Annotated[int, typer.Option(min=2, help="Maximum queries of a class.")] = 20,
    level: Annotated[float, typer.Option(min=0, max=0.5, help="Setting gate.level.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Simulate pairs of models and count what the gate says of them."""
    by_classes = {str(classes): measure(classes, pairs, queries, level) for classes in CLASSES}
    rates = ("false_pass_rate", "false_pass_rate_at_margin", "worst_group_false_alarm_rate")
    worst = {rate: max(one[rate]["value"] for one in by_classes.values()) for rate in rates}
    powers = {"power": {"gain": GAIN}, "worst_group_power": {"drop_beyond_margin": DROP}}
    stated = {name: by | {each: one[name]["value"] for each, one in by_classes.items()} for name, by in powers.items()}
    if as_json:
        print(json.dumps({**worst, **stated, "level": level, "pairs": pairs, "by_classes": by_classes}))
        return
    for classes, one in by_classes.items():
        print(f"{classes:>3} classes" + "".join(f"  {name} {rate['value']:.3f}" for name, rate in one.items()))


if __name__ == "__main__":
    typer.run(main)
