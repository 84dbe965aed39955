import numpy as np
import pytest
import torch

from model.networks.heads import MultiHead
from model.networks.methods import METHODS
from model.training.whitening import SHRINKAGE, ClassStatistics, whiten_heads, whitening


def samples(count: int, dimensions: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors about their class's mean, each direction with a spread of its own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    spread = rng.uniform(0.2, 3.0, dimensions)
    vectors = 2 * rng.normal(size=(classes, dimensions))[labels] + spread * rng.normal(size=(count, dimensions)) + 5
    return torch.from_numpy(vectors), torch.from_numpy(labels)


def gathered(vectors: torch.Tensor, labels: torch.Tensor, classes: int, batch: int) -> ClassStatistics:
    statistics = ClassStatistics(classes, vectors.shape[1])
    for start in range(0, len(vectors), batch):
        statistics.add(vectors[start : start + batch], labels[start : start + batch])
    return statistics


def within_covariance(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    centred = np.concatenate([vectors[labels == label] - vectors[labels == label].mean(0) for label in np.unique(labels)])
    return centred.T @ centred / len(vectors)


def test_four_vectors_by_hand():
    statistics = ClassStatistics(2, 2)
    statistics.add(torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 4.0], [4.0, 8.0]]), torch.tensor([0, 0, 1, 1]))
    assert statistics.means.tolist() == [[1.0, 0.0], [4.0, 6.0]]
    assert statistics.mean.tolist() == [2.5, 3.0]
    assert statistics.within.tolist() == [[0.5, 0.0], [0.0, 2.0]]
    assert statistics.total.tolist() == [[2.75, 4.5], [4.5, 11.0]]


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_statistics_gathered_in_batches_are_those_of_the_whole(batch):
    vectors, labels = samples(300, 6, 5)
    statistics = gathered(vectors, labels, 5, batch)
    values = vectors.numpy()
    np.testing.assert_allclose(statistics.mean, values.mean(0), atol=1e-10)
    np.testing.assert_allclose(statistics.means, [values[labels == label].mean(0) for label in range(5)], atol=1e-10)
    np.testing.assert_allclose(statistics.within, within_covariance(values, labels.numpy()), atol=1e-9)
    np.testing.assert_allclose(statistics.total, np.cov(values.T, bias=True), atol=1e-9)


def test_projected_vectors_vary_alike_in_all_directions_but_for_the_shrinkage():
    vectors, labels = samples(2000, 6, 10)
    weight, _ = whitening(gathered(vectors, labels, 10, 100), 6)
    projection = weight.double().numpy()
    within = within_covariance(vectors.numpy(), labels.numpy())
    shrunk = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / 6 * np.eye(6)
    isotropic = projection @ shrunk @ projection.T
    np.testing.assert_allclose(isotropic, isotropic[0, 0] * np.eye(6), atol=1e-6 * isotropic[0, 0])
    before, after = np.linalg.eigvalsh(within), np.linalg.eigvalsh(projection @ within @ projection.T)
    assert after[-1] / after[0] < before[-1] / before[0] / 4


def test_projected_vectors_have_mean_zero_and_a_mean_squared_length_of_one():
    vectors, labels = samples(500, 6, 5)
    weight, bias = whitening(gathered(vectors, labels, 5, 500), 6)
    projected = vectors @ weight.double().T + bias.double()
    assert projected.mean(0).abs().max() < 1e-5
    assert projected.square().sum(1).mean().item() == pytest.approx(1, abs=1e-5)


def test_directions_of_the_largest_spread_come_first():
    vectors, labels = samples(500, 6, 5)
    statistics = gathered(vectors, labels, 5, 500)
    weight, bias = whitening(statistics, 6)
    spread = (vectors @ weight.double().T + bias.double()).var(0)
    assert torch.equal(spread, spread.sort(descending=True).values)
    fewer, _ = whitening(statistics, 2)
    assert torch.allclose(fewer / fewer.norm(), weight[:2] / weight[:2].norm(), atol=1e-5)


def test_rows_beyond_the_channels_are_zero():
    vectors, labels = samples(200, 4, 5)
    statistics = gathered(vectors, labels, 5, 200)
    weight, bias = whitening(statistics, 7)
    assert weight.shape == (7, 4)
    assert bias.shape == (7,)
    assert weight[4:].abs().max() == 0
    assert bias[4:].abs().max() == 0
    assert torch.equal(weight[:4], whitening(statistics, 4)[0])


@pytest.mark.parametrize("count", [2, 6])
def test_fewer_pictures_than_channels_still_give_a_finite_projection(count):
    vectors, labels = samples(count, 16, 2)
    weight, bias = whitening(gathered(vectors, labels, 2, 2), 8)
    assert torch.isfinite(weight).all()
    projected = vectors @ weight.double().T + bias.double()
    assert projected.square().sum(1).mean().item() == pytest.approx(1, abs=1e-3)


def test_a_class_without_pictures_and_vectors_without_spread_leave_nothing_infinite():
    statistics = ClassStatistics(3, 4)
    statistics.add(torch.ones(6, 4), torch.tensor([0, 0, 0, 1, 1, 1]))
    weight, bias = whitening(statistics, 4)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()
    assert torch.isfinite(statistics.means).all()


def test_every_head_is_whitened_by_the_map_it_reads():
    torch.manual_seed(0)
    heads = MultiHead((6, 10), METHODS["multi_head"])
    shallow, deep, labels = torch.randn(40, 6, 2, 2), torch.randn(40, 10, 1, 1), torch.arange(40) % 4
    whiten_heads(heads, [(shallow[:25], deep[:25], labels[:25]), (shallow[25:], deep[25:], labels[25:])], 4)
    for name, head in heads.heads.items():
        features = deep if name == "global" else shallow
        with torch.no_grad():
            statistics = gathered(head.pooled(features).double(), labels, 4, 40)
            expected, _ = whitening(statistics, head.projection.out_features)
            # the sign of an axis is free
            assert torch.allclose(head.projection.weight.abs(), expected.abs(), atol=1e-4)
            assert head(features).square().sum(1).mean().item() == pytest.approx(1, abs=1e-3)
