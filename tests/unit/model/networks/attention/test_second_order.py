import numpy as np
import torch

from model.networks.attention.second_order import SecondOrderAttention


def slow(block: SecondOrderAttention, features: np.ndarray) -> np.ndarray:
    """SOLAR's equation, position by position."""
    weights = {name: value.numpy() for name, value in block.state_dict().items()}

    def branch(name: str, position: np.ndarray) -> np.ndarray:
        raw = weights[f"{name}.0.weight"][:, :, 0, 0] @ position
        deviation = np.sqrt(weights[f"{name}.1.running_var"] + 1e-5)
        normed = (raw - weights[f"{name}.1.running_mean"]) / deviation
        return np.maximum(normed * weights[f"{name}.1.weight"] + weights[f"{name}.1.bias"], 0)

    out = np.empty_like(features)
    for image, one in enumerate(features):
        positions = [(y, x) for y in range(one.shape[1]) for x in range(one.shape[2])]
        keys = [branch("key", one[:, y, x]) for y, x in positions]
        values = [weights["value.weight"][:, :, 0, 0] @ one[:, y, x] + weights["value.bias"] for y, x in positions]
        for y, x in positions:
            query = branch("query", one[:, y, x])
            likeness = np.exp([query @ key / np.sqrt(len(query)) for key in keys])
            share = likeness / likeness.sum()
            gathered = sum(part * value for part, value in zip(share, values, strict=True))
            out[image, :, y, x] = one[:, y, x] + weights["psi.weight"][:, :, 0, 0] @ gathered + weights["psi.bias"]
    return out


def test_it_is_the_equation_of_the_paper(as_trained):
    block, features = as_trained(SecondOrderAttention(8)), torch.randn(2, 8, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        said = block(features).numpy()
    np.testing.assert_allclose(said, slow(block, features.numpy()), rtol=1e-10, atol=1e-12)
    assert np.abs(said - features.numpy()).max() > 0.1


def test_its_gradient_is_right(as_trained):
    block = as_trained(SecondOrderAttention(4, 2))
    features = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (features,))


def test_it_learns_although_it_starts_as_the_identity():
    block = SecondOrderAttention(8)
    block(torch.randn(2, 8, 3, 3)).square().sum().backward()
    assert block.psi.weight.grad.abs().max() > 0


def test_few_channels_still_leave_one_inside():
    assert SecondOrderAttention(2, 4)(torch.randn(2, 2, 3, 3)).shape == (2, 2, 3, 3)
