import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf

from model.networks.architecture import Architecture, HeadSpec
from model.networks.heads import MultiHead
from model.training.class_statistics import SHRINKAGE, ClassStatistics
from model.training.whitening import NOISE, principal_axes, whiten_heads, whitening


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


def shrunk_covariance(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    within = within_covariance(vectors, labels)
    return (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))


def test_the_noise_of_an_axis_is_scaled_by_the_classes_share_of_its_variance():
    vectors, labels = samples(2000, 6, 10)
    weight, _ = whitening(gathered(vectors, labels, 10, 100), 6)
    projection = weight.double().numpy()
    within, shrunk = within_covariance(vectors.numpy(), labels.numpy()), shrunk_covariance(vectors.numpy(), labels.numpy())
    noise = projection @ shrunk @ projection.T
    np.testing.assert_allclose(noise, np.diag(np.diag(noise)), atol=1e-6 * noise[0, 0])
    total = np.cov(vectors.numpy().T, bias=True)
    variances = np.sort(np.linalg.eigvals(np.linalg.solve(shrunk, total)).real)[::-1]
    np.testing.assert_allclose(np.diag(noise), (variances - NOISE) / variances / (variances - NOISE).sum(), rtol=1e-4)
    before, after = np.linalg.eigvalsh(within), np.linalg.eigvalsh(projection @ within @ projection.T)
    assert after[-1] / after[0] < before[-1] / before[0] / 4


def test_few_vectors_are_shrunk_as_far_as_ledoit_and_wolf_say():
    vectors, labels = samples(40, 100, 4)
    statistics, values = gathered(vectors, labels, 4, 16), vectors.numpy()
    about_means = np.stack([value - values[labels == label].mean(0) for value, label in zip(values, labels, strict=True)])
    within, total = statistics.shrinkage
    assert within == pytest.approx(ledoit_wolf(about_means, assume_centered=True)[1])
    assert total == pytest.approx(ledoit_wolf(values)[1])
    assert within > SHRINKAGE
    many, of = samples(50, 100, 4)
    assert gathered(many, of, 4, 16).shrinkage == (SHRINKAGE, 0.0)


@pytest.mark.parametrize("count", [6, 12])
def test_few_vectors_are_whitened_as_their_shrunk_covariances_say(count):
    """All 30 axes are kept, so that the whole of what they weigh can be compared with the solution of the whole problem."""
    vectors, labels = samples(count, 30, 3)
    statistics = gathered(vectors, labels, 3, 5)
    within, total = statistics.within.numpy(), statistics.total.numpy()
    share, share_of_total = statistics.shrinkage
    scatter = (1 - share) * within + share * np.trace(within) / 30 * np.eye(30)
    total = (1 - share_of_total) * total + share_of_total * np.trace(total) / 30 * np.eye(30)
    variance, axes = eigh(total, scatter)
    signal = np.clip(variance - NOISE, 0, None)
    expected = (axes * signal / variance / signal.sum()) @ axes.T
    weight = whitening(statistics, 30)[0].double().numpy()
    np.testing.assert_allclose(weight.T @ weight, expected, atol=1e-5 * np.abs(expected).max())


def test_few_vectors_that_are_all_alike_leave_nothing_infinite():
    weight, bias = whitening(gathered(torch.ones(4, 16, dtype=torch.float64), torch.arange(4) % 2, 2, 4), 8)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()


def test_few_images_leave_room_for_what_other_classes_differ_in():
    """Ten classes of four in a hundred directions: other classes are told apart better than by the directions of these alone."""
    rng = np.random.default_rng(0)
    means, other = rng.normal(size=(10, 100)), rng.normal(size=(30, 100))
    labels, strangers = np.arange(40) % 10, np.arange(120) % 30
    weight, bias = whitening(gathered(torch.from_numpy(means[labels] + noise(rng, 40)), torch.from_numpy(labels), 10, 40), 50)
    seen = (other[strangers] + noise(rng, 120)) @ weight.double().numpy().T + bias.double().numpy()
    spanned = np.linalg.qr((means - means.mean(0)).T)[0][:, :9]
    assert nearest_is_alike(seen, strangers) > nearest_is_alike((other[strangers] + noise(rng, 120)) @ spanned, strangers) + 0.2


def noise(rng, count):
    return 0.7 * rng.normal(size=(count, 100))


def nearest_is_alike(vectors, labels):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return float((labels[(unit @ unit.T - 2 * np.eye(len(unit))).argmax(1)] == labels).mean())


def test_an_axis_whose_variance_is_not_above_the_noise_is_left_out():
    """Within classes the variance is 100 and 1, so that the scatter is 85.15 and 15.85; the total variance is 500 and 1."""
    statistics = ClassStatistics(2, 2)
    about = torch.tensor([[10.0, 1.0], [10.0, -1.0], [-10.0, 1.0], [-10.0, -1.0]])
    statistics.add(torch.cat([about + torch.tensor([20.0, 0.0]), about - torch.tensor([20.0, 0.0])]), torch.arange(8) // 4)
    weight, _ = whitening(statistics, 2)
    assert weight[0].abs().tolist() == pytest.approx([500**-0.5, 0], abs=1e-6)
    assert weight[1].tolist() == [0, 0]


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
    # the sign of an axis is free
    assert torch.allclose(fewer.abs() / fewer.norm(), weight[:2].abs() / weight[:2].norm(), atol=1e-5)


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
def test_fewer_images_than_channels_still_give_a_finite_projection(count):
    vectors, labels = samples(count, 16, 2)
    weight, bias = whitening(gathered(vectors, labels, 2, 2), 8)
    assert torch.isfinite(weight).all()
    projected = vectors @ weight.double().T + bias.double()
    assert 0.1 < projected.square().sum(1).mean().item() <= 1.001


def test_a_class_without_images_and_vectors_without_spread_leave_nothing_infinite():
    statistics = ClassStatistics(3, 4)
    statistics.add(torch.ones(6, 4), torch.tensor([0, 0, 0, 1, 1, 1]))
    weight, bias = whitening(statistics, 4)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()
    assert torch.isfinite(statistics.means).all()


HEADS = {"global": HeadSpec("deep", 8), "local": HeadSpec("shallow", 5, channels=3, pooling="second_moment")}


def maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of 40 images: shallow, deep and labels; the shallow map's channels differ in spread and are not about zero."""
    torch.manual_seed(0)
    shallow = torch.randn(40, 6, 2, 2) * torch.tensor([3.0, 0.1, 1.0, 2.0, 0.5, 0.2])[:, None, None] + 4
    return shallow, torch.randn(40, 10, 1, 1), torch.arange(40) % 4


def in_two_batches(*tensors: torch.Tensor):
    """Each pass over the images anew."""
    return lambda: iter([tuple(tensor[:25] for tensor in tensors), tuple(tensor[25:] for tensor in tensors)])


def test_every_head_is_whitened_by_the_map_it_reads():
    shallow, deep, labels = maps()
    heads = MultiHead((6, 10), Architecture(HEADS))
    whiten_heads(heads, in_two_batches(shallow, deep, labels), 4)
    for name, head in heads.named_heads():
        features = deep if name == "global" else shallow
        with torch.no_grad():
            statistics = gathered(head.pooled(features).double(), labels, 4, 40)
            expected, _ = whitening(statistics, head.projection.out_features)
            # the sign of an axis is free
            assert torch.allclose(head.projection.weight.abs(), expected.abs(), atol=1e-4)
            assert head(features).square().sum(1).mean().item() == pytest.approx(1, abs=1e-3)


def test_a_reduction_becomes_the_principal_axes_of_all_positions_before_anything_is_pooled():
    shallow, deep, labels = maps()
    heads = MultiHead((6, 10), Architecture(HEADS))
    whiten_heads(heads, in_two_batches(shallow, deep, labels), 4)
    positions = shallow.permute(0, 2, 3, 1).reshape(-1, 6).double().numpy()  # the attention starts as the identity
    values, axes = np.linalg.eigh(np.cov(positions.T, bias=True))
    with torch.no_grad():
        reduced = heads.head("local").reduction(shallow).permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    expected = (positions - positions.mean(0)) @ axes[:, :-4:-1] / np.sqrt(values[:-4:-1].mean())
    np.testing.assert_allclose(np.abs(reduced), np.abs(expected), atol=1e-4)


def test_a_projection_that_heads_share_is_whitened_over_what_all_of_them_pool():
    shallow, deep, labels = maps()
    spec = HeadSpec("deep", 4, attention="mask", shared="embedding")
    heads = MultiHead((6, 10), Architecture({"one": spec, "two": spec}))
    whiten_heads(heads, in_two_batches(shallow, deep, labels), 4)
    with torch.no_grad():
        pooled = torch.cat([head.pooled(deep) for _, head in heads.named_heads()])
        assert not torch.allclose(pooled[:40], pooled[40:]), "each learner has a mask of its own"
        expected, bias = whitening(gathered(pooled.double(), labels.repeat(2), 4, 80), 4)
    assert heads.head("one").projection is heads.head("two").projection
    assert torch.allclose(heads.head("one").projection.weight.abs(), expected.abs(), atol=1e-4)
    assert torch.allclose(heads.head("one").projection.bias.abs(), bias.abs(), atol=1e-4)


def test_principal_axes_by_hand():
    statistics = ClassStatistics(1, 2)
    corners = torch.tensor([[7.0, 4.0], [-5.0, -2.0], [-1.0, 4.0], [3.0, -2.0]])  # about (1, 1)
    statistics.add(corners, torch.zeros(4, dtype=torch.int64))
    weight, bias = principal_axes(statistics, 2)
    # covariance [[20, 6], [6, 9]]: half its trace is 14.5, its determinant 144
    assert ((corners @ weight.T + bias) ** 2).mean(0).mean().item() == pytest.approx(1, abs=1e-5)
    root = (14.5**2 - 144) ** 0.5
    assert ((corners @ weight.T + bias) ** 2).mean(0).tolist() == pytest.approx([(14.5 + root) / 14.5, (14.5 - root) / 14.5])


@pytest.mark.parametrize("kept", [2, 5])
def test_principal_axes_are_orthogonal_and_keep_their_proportions(kept):
    vectors, labels = samples(300, 5, 1)
    weight, bias = principal_axes(gathered(vectors, labels, 1, 100), kept)
    weight = weight.double()
    gram = weight @ weight.T
    assert torch.allclose(gram, gram[0, 0] * torch.eye(kept, dtype=torch.float64), atol=1e-6)
    projected = vectors @ weight.T + bias.double()
    assert projected.mean(0).abs().max() < 1e-5
    spread = np.linalg.eigvalsh(np.cov(vectors.numpy().T, bias=True))[::-1][:kept]
    np.testing.assert_allclose(projected.var(0, correction=0), spread / spread.mean(), rtol=1e-5)


def test_principal_axes_beyond_the_channels_are_zero_and_without_spread_nothing_is_infinite():
    vectors, labels = samples(50, 3, 1)
    weight, bias = principal_axes(gathered(vectors, labels, 1, 50), 5)
    assert weight.shape == (5, 3)
    assert weight[3:].abs().max() == 0
    assert bias[3:].abs().max() == 0
    weight, bias = principal_axes(gathered(torch.ones(4, 3), torch.zeros(4, dtype=torch.int64), 1, 4), 2)
    assert weight.isfinite().all()
    assert bias.isfinite().all()
