import numpy as np
import pytest
import torch

from model.networks.attention.residual_mask import ResidualMask


def convolve(one: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    """One map (C, H, W) by a kernel (D, C, k, k), zeros round the border, position by position."""
    k = kernel.shape[-1]
    padded = np.pad(one, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    out = np.empty((len(kernel), *one.shape[1:]))
    for y, x in np.ndindex(*one.shape[1:]):
        out[:, y, x] = (kernel * padded[:, y : y + k, x : x + k]).sum(axis=(1, 2, 3)) + bias
    return out


def halve(one: np.ndarray) -> np.ndarray:
    """The largest value of the 3 x 3 positions round every second position."""
    _, height, width = one.shape
    out = np.empty((len(one), (height + 1) // 2, (width + 1) // 2))
    for y, x in np.ndindex(*out.shape[1:]):
        out[:, y, x] = one[:, max(0, 2 * y - 1) : 2 * y + 2, max(0, 2 * x - 1) : 2 * x + 2].max(axis=(1, 2))
    return out


def enlarge(one: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, the edges of both maps in one place; beyond the outermost centres their own value."""
    out = np.empty((len(one), height, width))
    for y, x in np.ndindex(height, width):
        v = min(max((y + 0.5) * one.shape[1] / height - 0.5, 0), one.shape[1] - 1)
        u = min(max((x + 0.5) * one.shape[2] / width - 0.5, 0), one.shape[2] - 1)
        top, left = int(v), int(u)
        low, right = min(top + 1, one.shape[1] - 1), min(left + 1, one.shape[2] - 1)
        upper = (1 - (u - left)) * one[:, top, left] + (u - left) * one[:, top, right]
        lower = (1 - (u - left)) * one[:, low, left] + (u - left) * one[:, low, right]
        out[:, y, x] = (1 - (v - top)) * upper + (v - top) * lower
    return out


def slow(block: ResidualMask, one: np.ndarray, depth: int) -> np.ndarray:
    """The block on one map (C, H, W), by loops."""
    weights = {name: value.numpy() for name, value in block.state_dict().items()}

    def norm(name: str, values: np.ndarray) -> np.ndarray:
        mean, variance, gain, bias = (
            weights[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (values - mean) / np.sqrt(variance + 1e-5) * gain + bias

    def unit(name: str, values: np.ndarray) -> np.ndarray:
        return np.maximum(values + norm(f"{name}.norm", convolve(values, weights[f"{name}.conv.weight"])), 0)

    levels = [np.maximum(norm("enter.1", convolve(one, weights["enter.0.weight"])), 0)]
    for level in range(depth):
        levels.append(unit(f"down.{level}", halve(levels[-1])))
    coarse = levels[depth]
    for level in range(depth - 1, -1, -1):
        coarse = enlarge(coarse, *levels[level].shape[1:]) + unit(f"skip.{level}", levels[level])
    mask = 1 / (1 + np.exp(-convolve(coarse, weights["leave.weight"], weights["leave.bias"])))
    return (1 + mask) * one


@pytest.mark.parametrize(("size", "depth"), [((5, 5), 2), ((7, 10), 2), ((4, 6), 2), ((3, 1), 2), ((2, 2), 1), ((1, 1), 0)])
def test_it_is_the_block_of_the_paper_with_as_many_levels_as_the_map_allows(as_trained, size, depth):
    block = as_trained(ResidualMask(8))
    features = torch.randn(2, 8, *size, dtype=torch.float64)
    with torch.no_grad():
        said = block(features).numpy()
    for refined, one in zip(said, features.numpy(), strict=True):
        np.testing.assert_allclose(refined, slow(block, one, depth), rtol=1e-10, atol=1e-12)


def test_a_deeper_mask_goes_further_down(as_trained):
    block = as_trained(ResidualMask(4, depth=3))
    features = torch.randn(1, 4, 9, 5, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(block(features)[0].numpy(), slow(block, features[0].numpy(), 3), rtol=1e-10, atol=1e-12)


def test_the_mask_lies_between_nothing_and_twice(as_trained):
    block, features = as_trained(ResidualMask(8)), torch.randn(2, 8, 5, 5, dtype=torch.float64)
    mask = block.mask(features)
    assert mask.shape == features.shape
    assert 0 <= mask.min() < 0.2 < 0.8 < mask.max() <= 1
    torch.testing.assert_close(block(features), features * (1 + mask))


def test_the_mask_of_a_position_sees_the_far_corner(as_trained):
    block, features = as_trained(ResidualMask(8)), torch.zeros(1, 8, 7, 7, dtype=torch.float64, requires_grad=True)
    block.mask(features + torch.randn(1, 8, 7, 7, dtype=torch.float64))[0, :, 0, 0].sum().backward()
    assert features.grad[0, :, 6, 6].abs().max() > 0


def test_its_gradient_is_right(as_trained):
    block = as_trained(ResidualMask(4, 2))
    features = torch.randn(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (features,))


def test_a_map_of_three_positions_leaves_no_weight_without_a_gradient():
    """Data-parallel training stops at a weight that a step did not use."""
    block = ResidualMask(8)
    block(torch.randn(2, 8, 3, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
