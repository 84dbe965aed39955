"""A method's row of the table, from its trials: means and intervals over seeds, the paired difference to `multi_head`, ranks."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from benchmarks.tested_trials import per_query
from benchmarks.trials import Bench, Trial
from model.evaluation.bootstrap import paired_difference
from model.evaluation.metrics import FIGURES, PerQuery

CONFIDENCE = 0.95


def seed_interval(values: Sequence[float]) -> list[float] | None:
    """Student's interval of the mean over seeds; None for a single seed."""
    if len(values) < 2:
        return None
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return [mean - half, mean + half]


def row(trained: Sequence[dict[str, Any]], tested: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A method's row from its trials, one trial for each seed; `seconds` are those of seed 0, which selects as well."""
    figures = {name: [one[name] for one in tested] for name in FIGURES}
    return {
        **{name: statistics.fmean(values) for name, values in figures.items()},
        "intervals": {name: seed_interval(values) for name, values in figures.items()},
        "held_out": _held_out(trained[0]),
        "seconds": trained[0]["seconds"],
        "seconds_chosen": round(statistics.fmean(one["seconds"] for one in trained[1:]), 2) if trained[1:] else None,
        "query_ms": statistics.median(one["query_ms"] for one in tested),
        **{name: tested[0][name] for name in ("parameters", "parameters_total", "dimensions")},
        "seeds": len(tested),
    }


def _held_out(trained: dict[str, Any]) -> dict[str, float]:
    """The split of the gain in MAP@R on held-out classes: the untrained trunk, the init, and the epoch that was kept."""
    names = {"untrained": "untrained_map_at_r", "init": "init_map_at_r", "trained": "validation_map_at_r"}
    return {stage: trained[name] for stage, name in names.items()}


def untrained_row(tested: dict[str, Any]) -> dict[str, Any]:
    """The row of the untrained trunk: it has no seeds, so no interval, and nothing was held out for it."""
    kept = (*FIGURES, "query_ms", "parameters", "parameters_total", "dimensions")
    return {**{name: tested[name] for name in kept}, "intervals": dict.fromkeys(FIGURES), "seconds": 0.0, "seeds": 1}


def over_seeds(bench: Bench, trials: Sequence[Trial | None]) -> PerQuery:
    """Each query's MAP@R, averaged over seeds. The other figures are the first seed's."""
    found = [per_query(bench, trial) for trial in trials]
    return replace(found[0], map_at_r=np.mean([one.map_at_r for one in found], axis=0))


def mean_ranks(sets: Sequence[dict[str, dict[str, Any]]]) -> dict[str, float]:
    """The mean rank by MAP@R of every method that has figures on all data sets, 1 being the best."""
    common = [method for method in sets[0] if all("map_at_r" in rows.get(method, {}) for rows in sets)]
    ranks = [rankdata([-rows[method]["map_at_r"] for method in common]) for rows in sets]
    return {method: float(np.mean([ranked[place] for ranked in ranks])) for place, method in enumerate(common)}


def difference(method: PerQuery, reference: PerQuery) -> dict[str, Any]:
    """Paired difference in MAP@R between a method and the reference, with a bootstrap interval that draws whole classes."""
    mean, lower, upper = paired_difference(method, reference, confidence=CONFIDENCE)
    return {"map_at_r": mean, "interval": [lower, upper]}
