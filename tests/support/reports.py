"""A report with made-up figures, and queries to go with it."""

from datetime import UTC, datetime

import numpy as np

from model.config import ModelConfig, TrainConfig
from model.evaluation.metrics import PerQuery
from model.schemas.calibration import Calibration
from model.schemas.figures import Bootstrap, Figure, GroupFigures, HistogramColumn, RetrievalFigures
from model.schemas.report import (
    Count,
    HeadDescription,
    Latency,
    Licences,
    LossDescription,
    NetworkDescription,
    Report,
)
from model.schemas.reranking import Reranking
from model.schemas.train_report import Epoch, TrainReport
from tests.support.releases import make_pin

MOMENT = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)
NONE = GroupFigures(queries=0, recall_at_1=None, map_at_r=None, untrained=None)


def figure(value: float, lower: float | None = None, upper: float | None = None) -> Figure:
    return Figure(value=value, lower=value if lower is None else lower, upper=value if upper is None else upper)


def make_reranking() -> Reranking:
    return Reranking(
        ratio=0.9,
        tried_ratio=0.9,
        candidates=50,
        queries=300,
        map_at_r_before=0.4,
        map_at_r=0.45,
        recall_at_1_before=0.75,
        recall_at_1=0.8,
        gain_interval=(0.02, 0.08),
    )


def row(map_at_r: float, untrained: float) -> GroupFigures:
    return GroupFigures(queries=4, recall_at_1=figure(0.5, 0.25, 0.75), map_at_r=figure(map_at_r), untrained=untrained)


def make_retrieval(**changes: object) -> RetrievalFigures:
    figures = {"recall_at_1": figure(0.75, 0.5, 0.9), "map_at_r": figure(0.4, 0.3, 0.5)}
    given = {
        "queries": 1200,
        "queries_without_match": 3,
        "classes": 40,
        "figures": figures,
        "untrained": figures | {"map_at_r": figure(0.25, 0.3, 0.5)},
        "gain": figure(0.15, 0.1, 0.2),
        "by_class": {"oat": row(0.2, 0.3), "rye": row(0.6, 0.2), "lone": NONE},
        "by_group": {},
        "histogram": (HistogramColumn(start=0.0, stop=1.0, candidate=3, untrained=2),),
        "bootstrap": Bootstrap(samples=50, confidence=0.95, seed=0),
    }
    return RetrievalFigures.model_validate(given | changes)


def make_training(*map_at_r: float, best: int = 2, **changes: object) -> TrainReport:
    values = map_at_r or (0.3, 0.35, 0.45, 0.4)
    history = tuple(
        Epoch(epoch=number, map_at_r=value, loss=1 / number if number else None) for number, value in enumerate(values)
    )
    given = {"init": "whitened", "epochs_planned": len(values) - 1, "best_epoch": best, "untrained_map_at_r": 0.1}
    counts = {"validation_classes": 8, "validation_images": 80}
    return TrainReport.model_validate(given | counts | {"history": history} | changes)


def make_report(**changes: object) -> Report:
    given = {
        "made_at": MOMENT,
        "release": "r" * 16,
        "embedding_space_id": "s" * 16,
        "code_revision": "0.1+abc",
        "data": make_pin(path="grains"),
        "settings": {
            "model": ModelConfig().model_dump(),
            "train": TrainConfig().model_dump(mode="json"),
            "evaluate": {"samples": 1000},
        },
        "retrieval": make_retrieval(),
        "latency": Latency(median_ms=12.5, fastest_ms=11.25, reference_ms=10, ratio=1.25, queries=20),
        "size_mb": 20.0,
        "gallery": Count(samples=5000, classes=81),
        "splits": {"train": Count(classes=33, samples=2000), "test": Count(classes=40, samples=1200)},
        "calibration": Calibration.model_validate(
            {
                "verify": {"0.01": {"threshold": 0.5, "true_accept_rate": 0.873}},
                "identify": {"0.01": {"threshold": 0.625}},
                "pairs": 100,
            }
        ),
        "network": NetworkDescription(
            method="multi_head",
            trunk="tf_efficientnet_lite0",
            image_size=160,
            dimensions=512,
            heads=(HeadDescription(name="global", settings={"tap": "deep", "dimensions": 256}),),
            losses=(LossDescription(name="proxy_anchor", on="merged", weight=0.03),),
        ),
        "licences": Licences(weights="Apache-2.0", code="Apache-2.0"),
        "training": make_training(),
    }
    return Report.model_validate(given | changes)


def make_queries(map_at_r: object, labels: object, has_match: object = None) -> PerQuery:
    """What queries found, made up: Recall@1 and R-precision are 1 where MAP@R is above 0.5."""
    values = np.array(map_at_r, dtype=np.float64)
    count = len(values)
    hit = values > 0.5
    return PerQuery(
        ids=np.array([f"{i}.jpg" for i in range(count)]),
        labels=np.array(labels, dtype=np.int64),
        ks=(1, 2),
        recall=np.stack([hit, np.ones(count, dtype=bool)], axis=1),
        map_at_r=values,
        r_precision=hit.astype(np.float64),
        has_match=np.ones(count, dtype=bool) if has_match is None else np.array(has_match),
        neighbours=np.full((count, 10), -1),
        scores=np.full((count, 10), -np.inf, dtype=np.float32),
        best_right=np.full(count, -np.inf, dtype=np.float32),
        best_wrong=np.full(count, -np.inf, dtype=np.float32),
    )
