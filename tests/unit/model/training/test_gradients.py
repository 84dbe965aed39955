"""Every cut of a batch has the whole batch's gradient."""

from dataclasses import dataclass

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from model.losses.hybrid import HybridLoss
from model.networks.heads import Embeddings, MultiHead, RetrievalNetwork
from model.networks.methods import METHODS
from model.networks.trunk import make_trunk
from model.training.gradients import batch_gradients, map_tensors
from model.training.norms import freeze_statistics

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def network():
    torch.manual_seed(0)
    trunk = make_trunk("test_efficientnet", "none")
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, METHODS["multi_head"].architecture))
    for name, parameter in network.heads.named_parameters():
        if ".psi." in name:
            torch.nn.init.normal_(parameter, std=0.1)  # at its start of zero the attention would learn nothing yet
    freeze_statistics(network.train())
    return network


@pytest.fixture
def loss():
    torch.manual_seed(1)
    return HybridLoss(METHODS["multi_head"].losses, {"merged": 512, "global": 256, "parts": 192, "local": 64}, 3)


@pytest.fixture
def images():
    return torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def gradients(*modules):
    return {name: p.grad.clone() for module in modules for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk", [0, 6, 4, 1])
def test_any_cut_into_chunks_gives_the_plain_gradient(network, loss, images, chunk):
    expected_loss = loss(network(images), LABELS)
    expected_loss.backward()
    expected = gradients(network, loss)
    found_loss = batch_gradients(Fabric(accelerator="cpu"), list(network.parameters()), network, loss, (images,), LABELS, chunk)
    found = gradients(network, loss)
    assert found.keys() == expected.keys()
    assert any("trunk." in name for name in found)
    torch.testing.assert_close(found_loss, expected_loss.detach())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5 * float(value.abs().max()) + 1e-7)


def test_gradients_of_the_batch_before_do_not_linger(network, loss, images):
    fabric = Fabric(accelerator="cpu")
    batch_gradients(fabric, list(network.parameters()), network, loss, (images,), LABELS)
    once = gradients(network, loss)
    batch_gradients(fabric, list(network.parameters()), network, loss, (images,), LABELS)
    assert all(torch.equal(value, once[name]) for name, value in gradients(network, loss).items())


def test_in_bf16_embeddings_and_loss_are_float32_and_the_gradient_points_the_same_way(network, loss, images):
    fabrics = (Fabric(accelerator="cpu"), Fabric(accelerator="cpu", precision="bf16-mixed"))
    flat = []
    for fabric in fabrics:
        assert batch_gradients(fabric, list(network.parameters()), network, loss, (images,), LABELS).dtype == torch.float32
        flat.append(torch.cat([value.flatten() for value in gradients(network).values()]))
    with fabrics[1].autocast():
        embeddings = network(images)
    assert {embeddings.merged.dtype, *(value.dtype for value in embeddings.heads.values())} == {torch.float32}
    torch.testing.assert_close(embeddings.merged.norm(dim=1), torch.ones(6))
    assert not torch.equal(*flat)
    assert torch.cosine_similarity(*flat, dim=0) > 0.98


@dataclass(frozen=True)
class Nested:
    more: Embeddings
    extra: Tensor | None
    name: str


def test_tensors_are_reached_wherever_they_stand():
    one = Nested(Embeddings(torch.ones(2), {"a": torch.zeros(3)}), None, "one")
    doubled = map_tensors(lambda x, y: x + 2 * y + 1, one, one)
    assert torch.equal(doubled.more.merged, torch.full((2,), 4.0))
    assert torch.equal(doubled.more.heads["a"], torch.ones(3))
    assert (doubled.extra, doubled.name) == (None, "one")
