"""What each head finds alone, beside the merged embedding."""

import numpy as np
import pytest

from model.data.manifest import read_manifest
from model.evaluation.heads import compare_heads
from model.networks.methods import METHODS
from model.schemas.figures import Bootstrap
from tests.support.datasets import make_dataset

BOOTSTRAP = Bootstrap(samples=100, confidence=0.95, seed=0)
ARCHITECTURE = METHODS["multi_head"].architecture
WEIGHTS = dict.fromkeys(ARCHITECTURE.heads, 0.5)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The test samples of a small data set: two classes."""
    return read_manifest(make_dataset(tmp_path_factory.mktemp("data"))).searched


def merged(searched, **parts):
    """Merged vectors of which each head sees what it is given; a head that is not named sees all alike."""
    vectors = []
    for name, head in ARCHITECTURE.heads.items():
        part = np.zeros((len(searched), head.dimensions), np.float32)
        part[np.arange(len(searched)), parts.get(name, np.zeros(len(searched), int))] = 1
        vectors.append(part)
    whole = np.concatenate(vectors, axis=1)
    return whole / np.linalg.norm(whole, axis=1, keepdims=True)


def test_a_head_that_knows_the_classes_finds_all_and_one_that_sees_all_alike_finds_nothing(searched):
    first, *others = ARCHITECTURE.heads
    found = compare_heads(ARCHITECTURE, merged(searched, **{first: searched.labels}), searched, BOOTSTRAP, WEIGHTS)
    assert [head.name for head in found] == ["merged", *ARCHITECTURE.heads]
    by_name = {head.name: head for head in found}
    assert by_name["merged"].map_at_r.value == by_name[first].map_at_r.value == 1
    assert by_name[first].gain.value == 0
    for name in others:
        assert by_name[name].map_at_r.value == 0
        assert by_name[name].gain.value == 1
        assert by_name[name].weight == 0.5
    assert sum(head.dimensions for head in found[1:]) == found[0].dimensions


def test_a_head_without_weight_is_left_out(searched):
    vectors = merged(searched)
    first, *others = ARCHITECTURE.heads
    vectors[:, : ARCHITECTURE.heads[first].dimensions] = 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert [head.name for head in compare_heads(ARCHITECTURE, vectors, searched, BOOTSTRAP, {})] == ["merged", *others]
