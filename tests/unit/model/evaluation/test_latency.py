from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model.data.manifest import read_manifest
from model.evaluation.latency import QUERIES, measure_latency
from tests.support.datasets import make_dataset


class Machine:
    """A clock that work advances: a query takes 12 ms of it and the trunk 4, times the load of the moment."""

    def __init__(self, loads):
        self.seconds = 0.0
        self.loads = iter(loads)
        self.load = 1.0

    def clock(self):
        return self.seconds

    def search(self, images, k):
        assert (len(images), k) == (1, 5)
        self.load = next(self.loads)
        self.seconds += 0.012 * self.load

    def trunk(self, batch):
        assert batch.shape == (1, 3, 32, 32)
        self.seconds += 0.004 * self.load
        return batch, batch


class Trunk(torch.nn.Module):
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def __init__(self, machine):
        super().__init__()
        self.machine, self.weight = machine, torch.nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return self.machine.trunk(batch)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return read_manifest(make_dataset(tmp_path_factory.mktemp("data")))


def measured(manifest, loads):
    machine = Machine(loads)
    retriever = SimpleNamespace(search=machine.search, network=SimpleNamespace(trunk=Trunk(machine)), image_size=32)
    return measure_latency(retriever, manifest, clock=machine.clock)


def test_an_idle_machine_gives_the_same_time_thrice(manifest):
    found = measured(manifest, [1.0] * (QUERIES + 2))
    assert (found.median_ms, found.fastest_ms, found.reference_ms, found.ratio) == (12, 12, 4, 3)
    assert found.queries == QUERIES


def test_a_machine_that_is_busy_but_for_one_query_changes_neither_the_fastest_nor_the_ratio(manifest):
    loads = np.full(QUERIES + 2, 50.0)
    loads[9] = 1.0
    found = measured(manifest, loads)
    assert found.median_ms == 600
    assert (found.fastest_ms, found.ratio) == (12, 3)


def test_the_first_queries_warm_up_and_do_not_count(manifest):
    assert measured(manifest, [0.01, 0.01] + [1.0] * QUERIES).fastest_ms == 12
