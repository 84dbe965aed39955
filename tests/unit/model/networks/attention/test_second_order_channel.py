import numpy as np
import pytest
import torch

from model.networks.attention.second_order_channel import SecondOrderChannelAttention, covariance_root, newton_schulz

FEW_POSITIONS, MANY_POSITIONS = (12, 2, 3), (4, 3, 5)
"""Maps whose steps are taken on the positions' and on the channels' matrix."""


def covariance(one: np.ndarray) -> np.ndarray:
    """Of the channels of one map (C, H, W), over its positions."""
    return np.atleast_2d(np.cov(one.reshape(len(one), -1), bias=True))


def slow_root(matrix: np.ndarray, steps: int) -> np.ndarray:
    """iSQRT-COV's equations on the covariance itself, whatever its size."""
    identity, trace = np.eye(len(matrix)), np.trace(matrix)
    y, z = matrix / trace, identity
    for _ in range(steps):
        y, z = 0.5 * y @ (3 * identity - z @ y), 0.5 * (3 * identity - z @ y) @ z
    return y * np.sqrt(trace)


def slow(block: SecondOrderChannelAttention, features: np.ndarray) -> np.ndarray:
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    out = np.empty_like(features)
    for image, one in enumerate(features):
        rows = np.array([row.mean() for row in slow_root(covariance(one), 5)])
        inner = np.maximum(weights["squeeze.weight"][:, :, 0, 0] @ rows + weights["squeeze.bias"], 0)
        gate = 1 / (1 + np.exp(-(weights["excite.weight"][:, :, 0, 0] @ inner + weights["excite.bias"])))
        for channel, share in enumerate(gate):
            out[image, channel] = share * one[channel]
    return out


@pytest.mark.parametrize("shape", [FEW_POSITIONS, MANY_POSITIONS], ids=["few positions", "many positions"])
def test_it_is_the_equation_of_the_paper(as_trained, shape):
    block = as_trained(SecondOrderChannelAttention(shape[0], reduction=2))
    features = torch.randn(2, *shape, dtype=torch.float64)
    with torch.no_grad():
        said = block(features).numpy()
    np.testing.assert_allclose(said, slow(block, features.numpy()), rtol=1e-10, atol=1e-12)
    gates = said / features.numpy()
    assert np.ptp(gates, axis=1).max() > 0.1


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("shape", [FEW_POSITIONS, MANY_POSITIONS], ids=["few positions", "many positions"])
def test_the_steps_on_the_smaller_matrix_are_the_steps_on_the_covariance(shape, steps):
    features = np.random.default_rng(0).normal(size=(2, *shape)) + 3.0
    said = covariance_root(torch.from_numpy(features), steps).numpy()
    for root, one in zip(said, features, strict=True):
        np.testing.assert_allclose(root, slow_root(covariance(one), steps), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [FEW_POSITIONS, MANY_POSITIONS], ids=["few positions", "many positions"])
def test_the_root_squared_is_the_covariance_after_enough_steps(shape):
    features = np.random.default_rng(0).normal(size=shape)
    root = covariance_root(torch.from_numpy(features)[None], steps=20)[0].numpy()
    np.testing.assert_allclose(root @ root, covariance(features), rtol=1e-6, atol=1e-8)


def test_five_steps_are_enough_where_channels_vary_alike():
    positions = torch.linalg.qr(torch.randn(60, 4, dtype=torch.float64)).Q  # four channels of one length, at right angles
    features = (positions - positions.mean(dim=0)).mT.reshape(1, 4, 6, 10)
    root = covariance_root(features)[0].numpy()
    wanted = covariance(features[0].numpy())
    np.testing.assert_allclose(root @ root, wanted, atol=1e-3 * np.abs(wanted).max())


def test_the_root_of_a_diagonal_matrix_by_hand():
    root, inverse = newton_schulz(torch.diag(torch.tensor([0.64, 0.36], dtype=torch.float64))[None], steps=10)
    torch.testing.assert_close(root[0], torch.diag(torch.tensor([0.8, 0.6], dtype=torch.float64)))
    torch.testing.assert_close(inverse[0], torch.diag(torch.tensor([1 / 0.8, 1 / 0.6], dtype=torch.float64)))


@pytest.mark.parametrize("shape", [FEW_POSITIONS, MANY_POSITIONS], ids=["few positions", "many positions"])
def test_a_constant_map_has_a_root_of_zero(shape):
    assert torch.equal(covariance_root(torch.full((1, *shape), 2.0)), torch.zeros(1, shape[0], shape[0]))


def test_the_root_grows_with_the_map():
    features = torch.randn(1, 4, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(covariance_root(1000 * features), 1000 * covariance_root(features))


@pytest.mark.parametrize("shape", [(4, 1, 3), (2, 2, 2)], ids=["few positions", "many positions"])
def test_its_gradient_is_right(as_trained, shape):
    block = as_trained(SecondOrderChannelAttention(shape[0], 2))
    features = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (features,))


def test_half_precision_keeps_its_type_although_the_root_is_finer():
    features = torch.randn(1, 8, 3, 3).bfloat16()
    assert covariance_root(features).dtype == torch.float32
    assert SecondOrderChannelAttention(8).bfloat16()(features).dtype == torch.bfloat16
