"""Queries that one model wins and another one loses, and the page that shows them."""

from dataclasses import replace

import numpy as np

from model.data.manifest import read_manifest
from model.evaluation.metrics import evaluate_retrieval
from model.evaluation.won_lost import MOST, compare_queries, same_queries, save_page, won_and_lost
from tests.support.datasets import make_dataset
from tests.support.reports import make_queries

HOSTILE = "<script>alert(1)</script>"


def test_queries_are_won_and_lost_by_their_map_at_r_and_the_largest_changes_come_first():
    matched = [True, True, True, True, False]
    before = make_queries([0.5, 0.2, 1.0, 0.4, 0.0], [0, 0, 1, 1, 2], matched)
    after = make_queries([0.75, 1.0, 0.5, 0.4, 0.9], [0, 0, 1, 1, 2], matched)
    found = won_and_lost(before, after)
    assert (found.queries, found.won, found.lost) == (4, 2, 1)
    assert [(each.id, each.before, each.after) for each in found.most_won] == [("1.jpg", 0.2, 1.0), ("0.jpg", 0.5, 0.75)]
    assert [each.id for each in found.most_lost] == ["2.jpg"]


def test_of_many_changes_the_ten_largest_are_named():
    before, after = make_queries(np.zeros(30), np.zeros(30)), make_queries(np.arange(30) / 30, np.zeros(30))
    found = won_and_lost(before, after)
    assert [each.id for each in found.most_won] == [f"{number}.jpg" for number in range(29, 29 - MOST, -1)]
    assert (found.won, found.most_lost) == (29, ())


def test_queries_with_other_ids_or_labels_are_other_queries():
    queries = make_queries([0.5, 0.2], [0, 0])
    assert same_queries(queries, make_queries([1.0, 0.0], [0, 0]))
    assert not same_queries(queries, make_queries([0.5, 0.2], [0, 1]))
    assert not same_queries(queries, make_queries([0.5], [0]))
    assert not same_queries(queries, replace(queries, ids=np.array(["0.jpg", "9.jpg"])))


def test_the_page_shows_the_queries_with_their_neighbours_before_and_after_and_needs_no_other_file(tmp_path):
    searched = read_manifest(make_dataset(tmp_path / "data", distractors=2)).searched
    searched = replace(searched, classes=tuple(HOSTILE + name for name in searched.classes))
    before, after = (answers(searched, seed) for seed in (1, 2))
    counts = won_and_lost(before, after)
    save_page(tmp_path / "page.html", compare_queries(searched, before, after, ("drawn version 1", f"{HOSTILE} version 2")))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = len(counts.most_won) + len(counts.most_lost)
    assert shown
    assert page.count('class="row"') == 2 * shown
    assert page.count("data:image/jpeg;base64,") == 2 * shown * 6  # the query and its first five neighbours, twice
    assert f"wins {counts.won} and loses {counts.lost}" in page
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="', "")


def test_where_nothing_changed_the_page_says_so(tmp_path):
    searched = read_manifest(make_dataset(tmp_path / "data")).searched
    answered = answers(searched, 1)
    save_page(tmp_path / "page.html", compare_queries(searched, answered, answered, ("drawn version 1", "drawn version 2")))
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<p>None.</p>") == 2


def answers(searched, seed):
    """What a network of random vectors finds."""
    vectors = np.random.default_rng(seed).standard_normal((len(searched), 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return evaluate_retrieval(vectors, searched.labels, searched.ids, queries=len(searched.rows("test")))
