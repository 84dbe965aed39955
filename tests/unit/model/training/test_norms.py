import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from model.networks.architecture import Architecture, HeadSpec
from model.networks.heads import MultiHead
from model.training.norms import calibrate_norms, freeze_statistics


def heads(attention: str = "second_order") -> MultiHead:
    torch.manual_seed(0)
    return MultiHead((4, 8), Architecture({"global": HeadSpec("deep", 3, attention=attention)}))


def maps(count: int):
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 4, 4, 4, generator=generator), torch.randn(count, 8, 2, 2, generator=generator) * 3 + 1


def batches(*counts: int):
    return [(*maps(count), torch.zeros(count, dtype=torch.int64)) for count in counts]


def test_statistics_are_those_of_all_training_images():
    some = heads()
    calibrate_norms(some, batches(6, 6))
    convolution, norm, _ = some.heads["global"].attention.query
    seen = convolution(torch.cat([maps(6)[1]] * 2))
    torch.testing.assert_close(norm.running_mean, seen.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, convolution(maps(6)[1]).var(dim=(0, 2, 3)))


def test_calibrating_again_forgets_what_was():
    some = heads("residual_mask")
    calibrate_norms(some, batches(9))
    calibrate_norms(some, batches(6))
    fresh = heads("residual_mask")
    calibrate_norms(fresh, batches(6))
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in some.state_dict().items())


def test_a_last_batch_of_one_image_is_no_failure():
    calibrate_norms(heads(), [*batches(4), (torch.ones(1, 4, 1, 1), torch.ones(1, 8, 1, 1), torch.zeros(1))])


@pytest.mark.parametrize("attention", ["second_order", "second_order_nonlocal", "second_order_channel", "residual_mask"])
def test_at_rest_an_image_embeds_the_same_alone_and_in_a_batch_and_changes_no_statistics(attention):
    some = heads(attention)
    calibrate_norms(some, batches(6))
    for parameter in some.parameters():
        nn.init.normal_(parameter, std=0.3)
    before = {name: value.clone() for name, value in some.named_buffers()}
    freeze_statistics(some.train())
    shallow, deep = maps(5)
    together = some(shallow, deep).merged
    alone = torch.cat([some(shallow[row : row + 1], deep[row : row + 1]).merged for row in range(5)])
    torch.testing.assert_close(together, alone)
    assert all(torch.equal(value, before[name]) for name, value in some.named_buffers())


def test_dropout_rests_too():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.BatchNorm1d(2)).train()
    freeze_statistics(module)
    assert [part.training for part in module] == [True, False, False]
    assert not any(part.training for part in module if isinstance(part, _BatchNorm))
