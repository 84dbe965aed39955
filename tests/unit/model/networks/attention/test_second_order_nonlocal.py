import numpy as np
import torch

from model.networks.attention.second_order_nonlocal import SecondOrderNonLocalAttention, covariance_of_positions


def slow(block: SecondOrderNonLocalAttention, features: np.ndarray) -> np.ndarray:
    """SONA's equation, position by position, its covariances by numpy."""
    weights = {name: value.numpy() for name, value in block.state_dict().items()}

    def theta(position: np.ndarray) -> np.ndarray:
        raw = weights["theta.0.weight"][:, :, 0, 0] @ position
        normed = (raw - weights["theta.1.running_mean"]) / np.sqrt(weights["theta.1.running_var"] + 1e-5)
        normed = normed * weights["theta.1.weight"] + weights["theta.1.bias"]
        return np.where(normed > 0, normed, 0.1 * normed)

    out = np.empty_like(features)
    for image, one in enumerate(features):
        positions = [(y, x) for y in range(one.shape[1]) for x in range(one.shape[2])]
        reduced = [theta(one[:, y, x]) for y, x in positions]
        values = [weights["value.weight"][:, :, 0, 0] @ one[:, y, x] + weights["value.bias"] for y, x in positions]
        for (y, x), own in zip(positions, reduced, strict=True):
            likeness = np.exp([np.cov(own, other, bias=True)[0, 1] / np.sqrt(len(own)) for other in reduced])
            gathered = sum(part * value for part, value in zip(likeness / likeness.sum(), values, strict=True))
            added = weights["projection.weight"][:, :, 0, 0] @ gathered + weights["projection.bias"]
            out[image, :, y, x] = one[:, y, x] + added
    return out


def test_it_is_the_equation_of_the_paper(as_trained):
    block = as_trained(SecondOrderNonLocalAttention(12))
    features = torch.randn(2, 12, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        said = block(features).numpy()
    np.testing.assert_allclose(said, slow(block, features.numpy()), rtol=1e-10, atol=1e-12)
    assert np.abs(said - features.numpy()).max() > 0.1


def test_the_covariance_of_two_positions_by_hand():
    features = torch.tensor([[[[1.0, 0.0]], [[3.0, 8.0]]]])  # (1, 2, 1, 2): the positions (1, 3) and (0, 8), deviations 1 and 4
    assert covariance_of_positions(features).tolist() == [[[1.0, 4.0], [4.0, 16.0]]]


def test_a_constant_added_to_all_channels_of_a_position_changes_no_affinity():
    features, brighter = torch.randn(1, 6, 2, 3), torch.randn(1, 1, 2, 3)
    torch.testing.assert_close(covariance_of_positions(features + brighter), covariance_of_positions(features))


def test_its_gradient_is_right(as_trained):
    block = as_trained(SecondOrderNonLocalAttention(4, 2))
    features = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (features,))


def test_few_channels_still_leave_two_inside_so_that_they_vary(as_trained):
    block = as_trained(SecondOrderNonLocalAttention(3, 4))
    assert covariance_of_positions(block.theta(torch.randn(1, 3, 2, 2, dtype=torch.float64))).abs().max() > 0
