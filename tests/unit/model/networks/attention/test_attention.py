"""What every attention block promises, whatever its formula."""

import pytest
import torch

from model.networks.attention import ATTENTION, IDENTITY_AT_INIT
from model.networks.attention.mask import AttentionMask
from model.networks.attention.second_order import SecondOrderAttention
from model.networks.heads import MultiHead
from model.networks.methods import ABLATIONS, METHODS

NAMES = sorted(ATTENTION)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (3, 3), (5, 5), (7, 7), (7, 10), (16, 9)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_shape_is_kept_in_training_and_in_use(name, size):
    features = torch.randn(2, 12, *size)
    for training in (True, False):
        refined = ATTENTION[name](12).train(training)(features)
        assert refined.shape == features.shape
        assert refined.isfinite().all()


@pytest.mark.parametrize("name", sorted(IDENTITY_AT_INIT))
def test_the_residual_blocks_start_as_the_identity(name):
    features = torch.randn(2, 12, 5, 5)
    for training in (True, False):
        assert torch.equal(ATTENTION[name](12).train(training)(features), features)


@pytest.mark.parametrize(
    ("name", "factor"), [("second_order_channel", 0.9525741), ("residual_mask", 1.0474259)]
)  # sigmoid(3) = 0.9525741
def test_the_gated_blocks_start_as_a_multiple_of_the_identity(name, factor):
    features = torch.randn(2, 12, 5, 5)
    for training in (True, False):
        torch.testing.assert_close(ATTENTION[name](12).train(training)(features), factor * features)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in IDENTITY_AT_INIT])
def test_a_block_that_is_not_called_the_identity_changes_the_map(name):
    features = torch.randn(2, 12, 5, 5)
    assert not torch.allclose(ATTENTION[name](12)(features), features)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_every_weight_learns_although_the_last_starts_at_zero(name):
    torch.manual_seed(0)
    block, features, target = ATTENTION[name](12), torch.randn(4, 12, 5, 5), torch.randn(4, 12, 5, 5)
    optimiser = torch.optim.SGD(block.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (block(features) - target).square().mean().backward()
        optimiser.step()
    # A bias that every affinity shares may have none; a weight has.
    assert all(parameter.grad.abs().max() > 0 for key, parameter in block.named_parameters() if key.endswith("weight"))


@pytest.mark.parametrize("value", [0.0, 3.7])
@pytest.mark.parametrize("name", NAMES)
def test_a_constant_map_gives_numbers_and_numbers_for_gradients(name, value):
    features = torch.full((2, 12, 5, 5), value, requires_grad=True)
    block = ATTENTION[name](12)
    block(features).square().sum().backward()
    assert features.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in block.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_each_image_is_refined_by_itself(name, as_trained):
    block, features = as_trained(ATTENTION[name](8)), torch.randn(3, 8, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(block(features)[1:2], block(features[1:2]))


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_autocast_stays_near_float32(name):
    torch.manual_seed(0)
    block, features = ATTENTION[name](12).eval(), torch.randn(2, 12, 5, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = block(features)
    torch.testing.assert_close(rough.float(), block(features), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", sorted(METHODS | ABLATIONS))
def test_each_head_has_attention_weights_of_its_own(name):
    heads = MultiHead((8, 12), (METHODS | ABLATIONS)[name].architecture)
    blocks = [head.attention for _, head in heads.named_heads()]
    stored = [parameter.data_ptr() for block in blocks for parameter in block.parameters()]
    assert len(stored) == len(set(stored))
    silent = {"proxy_anchor", "delg", "attention_none"}
    assert bool(stored) == (name not in silent)


@pytest.mark.parametrize("name", ["multi_head", "multi_head_paper"])
def test_claims_5_to_8_a_second_order_block_on_the_global_head_and_another_on_the_local_one(name):
    heads = MultiHead((8, 12), METHODS[name].architecture)
    assert {"global", "local"} <= {head for head, _ in heads.named_heads()}
    first, second = heads.head("global").attention, heads.head("local").attention
    assert isinstance(first, SecondOrderAttention)
    assert isinstance(second, SecondOrderAttention)
    assert first is not second
    assert (first.query[0].in_channels, second.query[0].in_channels) == (12, 8)


def test_masks_start_at_random_so_that_learners_start_apart():
    torch.manual_seed(0)
    one, two, features = AttentionMask(12), AttentionMask(12), torch.randn(2, 12, 5, 5)
    assert (one(features) - two(features)).abs().max() > 0.05
