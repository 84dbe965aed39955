import numpy as np
import torch

from model.networks.attention.mask import AttentionMask


def slow(block: AttentionMask, features: np.ndarray) -> np.ndarray:
    """x * sigmoid(W2 relu(W1 x + b1) + b2), position by position."""
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    out = np.empty_like(features)
    for image, one in enumerate(features):
        for y in range(one.shape[1]):
            for x in range(one.shape[2]):
                inner = np.maximum(weights["mask.0.weight"][:, :, 0, 0] @ one[:, y, x] + weights["mask.0.bias"], 0)
                raw = weights["mask.2.weight"][:, :, 0, 0] @ inner + weights["mask.2.bias"]
                out[image, :, y, x] = one[:, y, x] / (1 + np.exp(-raw))
    return out


def test_it_is_the_map_times_a_mask_of_its_size(as_trained):
    block, features = as_trained(AttentionMask(8)), torch.randn(2, 8, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        said = block(features).numpy()
    np.testing.assert_allclose(said, slow(block, features.numpy()), rtol=1e-10, atol=1e-12)
    shares = said / features.numpy()
    assert shares.min() > 0
    assert shares.max() < 1


def test_one_channel_by_hand():
    block = AttentionMask(1)
    with torch.no_grad():
        for parameter, value in zip(block.parameters(), (2.0, 1.0, 0.5, -1.5), strict=True):
            parameter.fill_(value)
    # at 1: relu(2 + 1) = 3, 0.5 * 3 - 1.5 = 0, sigmoid 1/2; at -1: relu(-1) = 0, sigmoid(-1.5) = 0.182426
    said = block(torch.tensor([[[[1.0, -1.0]]]]))
    torch.testing.assert_close(said, torch.tensor([[[[0.5, -0.182426]]]]))


def test_its_gradient_is_right(as_trained):
    block = as_trained(AttentionMask(4))
    features = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (features,))
