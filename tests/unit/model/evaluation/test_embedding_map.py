"""The map of the embedding."""

import numpy as np

from model.data.manifest import read_manifest
from model.evaluation.embedding_map import embedding_map
from model.evaluation.metrics import evaluate_retrieval
from tests.support.datasets import make_dataset


def mapped(folder, images, noise=0.1, **options):
    searched = read_manifest(make_dataset(folder, views=images, distractors=3)).searched
    queries = len(searched.rows("test"))
    vectors = np.eye(16)[searched.labels] + noise * np.random.default_rng(0).normal(size=(len(searched), 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    figures = evaluate_retrieval(vectors, searched.labels, searched.ids, queries=queries)
    return embedding_map(vectors, searched, figures, **options), queries


def test_every_query_has_a_place_beside_its_class_and_distractors_have_none(tmp_path):
    found, queries = mapped(tmp_path / "data", 8)
    assert sum(len(one.points) for one in found.classes) == queries == 16
    assert len(found.classes) == 2
    places = np.array([point[:2] for one in found.classes for point in one.points])
    assert places.min() == 0
    assert places[:, 0].max() == 1
    assert places[:, 1].max() <= found.height <= 1
    first, second = (np.array([point[:2] for point in one.points]) for one in found.classes)
    apart = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert apart > max(np.linalg.norm(each - each.mean(axis=0), axis=1).mean() for each in (first, second))
    for one in found.classes:
        assert one.example.name == one.name
        assert one.place in [point[:2] for point in one.points]


def test_the_same_seed_gives_the_same_map(tmp_path):
    assert mapped(tmp_path / "data", 8)[0] == mapped(tmp_path / "data", 8)[0]


def test_a_handful_of_queries_has_no_map(tmp_path):
    assert mapped(tmp_path / "data", 4)[0] is None
