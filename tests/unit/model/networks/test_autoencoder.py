"""DELG's local branch against its equations, position by position."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from model.networks.autoencoder import AttentiveAutoencoder

PLACES = [(y, x) for y in range(2) for x in range(3)]


@pytest.fixture
def block() -> AttentiveAutoencoder:
    torch.manual_seed(0)
    return AttentiveAutoencoder(6).double()


def matrix(layer: nn.Conv2d) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.detach().numpy()[:, :, 0, 0], layer.bias.detach().numpy()


def slow(block: AttentiveAutoencoder, one: np.ndarray) -> tuple[list[np.ndarray], list[float], list[np.ndarray]]:
    """Descriptors, scores and restored vectors of the positions of one map (C, H, W)."""
    (first, first_bias), (second, second_bias) = matrix(block.attention[0]), matrix(block.attention[2])
    (encoder, encoder_bias), (decoder, decoder_bias) = matrix(block.encoder), matrix(block.decoder)
    codes = [encoder @ one[:, y, x] + encoder_bias for y, x in PLACES]
    raw = [second @ np.maximum(first @ one[:, y, x] + first_bias, 0) + second_bias for y, x in PLACES]
    return codes, [math.log1p(math.exp(value.item())) for value in raw], [decoder @ code + decoder_bias for code in codes]


def test_what_it_says_in_training_is_delgs_equations(block):
    features = torch.randn(2, 6, 2, 3, dtype=torch.float64)
    said = block(features)
    for image, one in enumerate(features.numpy()):
        _, scores, restored = slow(block, one)
        attended = sum(score * vector for score, vector in zip(scores, restored, strict=True)) / sum(scores)
        errors = [((vector - one[:, y, x]) ** 2).mean() for vector, (y, x) in zip(restored, PLACES, strict=True)]
        np.testing.assert_allclose(said["attended"][image].detach(), attended, rtol=1e-10)
        assert said["reconstruction_error"][image].item() == pytest.approx(sum(errors) / len(errors))


def test_descriptors_are_codes_of_128_at_unit_length_and_scores_are_above_zero(block):
    features = torch.randn(2, 6, 2, 3, dtype=torch.float64)
    descriptors, scores = block.local_descriptors(features)
    assert descriptors.shape == (2, 2, 3, 128)
    assert scores.shape == (2, 2, 3)
    for image, one in enumerate(features.numpy()):
        codes, expected, _ = slow(block, one)
        for (y, x), code, score in zip(PLACES, codes, expected, strict=True):
            np.testing.assert_allclose(descriptors[image, y, x].detach(), code / np.linalg.norm(code), rtol=1e-9)
            assert scores[image, y, x].item() == pytest.approx(score)
            assert score > 0


def test_an_autoencoder_that_restores_all_has_no_error_and_averages_by_the_scores():
    block = AttentiveAutoencoder(2)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.encoder.weight[0, 0] = block.encoder.weight[1, 1] = block.decoder.weight[0, 0] = block.decoder.weight[1, 1] = 1
        block.attention[0].weight[0, 0] = block.attention[2].weight[0, 0] = 1  # the score is softplus(relu(first channel))
    features = torch.tensor([[[[0.0, 3.0]], [[5.0, -1.0]]]])  # the positions (0, 5) and (3, -1)
    said, (low, high) = block(features), (math.log(2), math.log1p(math.exp(3)))
    assert said["reconstruction_error"].tolist() == [0]
    assert said["attended"][0].tolist() == pytest.approx([3 * high / (low + high), (5 * low - high) / (low + high)], rel=1e-5)


@pytest.mark.parametrize("output", ["attended", "reconstruction_error"])
def test_its_gradient_is_right(block, output):
    features = torch.randn(1, 6, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: block(values)[output], (features,))
