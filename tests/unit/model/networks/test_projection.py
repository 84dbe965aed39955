"""A projection that is trained relative to its init."""

import pytest
import torch

from model.networks.architecture import Architecture, HeadSpec
from model.networks.heads import MultiHead
from model.networks.projection import Projection

HEADS = {"global": HeadSpec("deep", 5), "local": HeadSpec("shallow", 3, channels=4, pooling="second_moment")}
SHARED = {"one": HeadSpec("deep", 4, attention="mask", shared="it"), "two": HeadSpec("deep", 4, attention="mask", shared="it")}


@pytest.fixture
def projection():
    torch.manual_seed(0)
    projection = Projection(6, 4)
    projection.train_residual()
    return projection


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(5, 6, 3, 3, generator=generator), torch.randn(5, 8, 2, 2, generator=generator)


def trained(heads: dict[str, HeadSpec]) -> MultiHead:
    """Heads whose residuals are not zero."""
    torch.manual_seed(0)
    found = MultiHead((6, 8), Architecture(heads)).eval()
    found.train_residuals()
    for name, parameter in found.named_parameters():
        if name.endswith("residual"):
            torch.nn.init.normal_(parameter, std=0.5)
    return found


def test_without_a_residual_it_is_a_linear_layer():
    torch.manual_seed(0)
    plain, linear, vectors = Projection(6, 4), torch.nn.Linear(6, 4), torch.randn(3, 6)
    linear.load_state_dict(plain.state_dict())
    assert torch.equal(plain(vectors), linear(vectors))


def test_a_residual_of_zero_changes_nothing(projection):
    vectors = torch.randn(3, 6)
    assert torch.equal(projection(vectors), projection.project(vectors))
    assert projection.residual.shape == (4, 4)
    assert projection.residual.abs().max() == 0


def test_by_hand_a_residual_mixes_what_is_projected():
    projection = Projection(2, 2)
    projection.train_residual()
    with torch.no_grad():
        projection.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        projection.bias.copy_(torch.tensor([1.0, 0.0]))
        projection.residual.copy_(torch.tensor([[0.0, 0.5], [0.0, 1.0]]))
    # W x + b = (4, 10), and I + A maps it to (4 + 5, 10 + 10).
    assert projection(torch.tensor([[3.0, 5.0]])).tolist() == [[9.0, 20.0]]


def test_the_residual_alone_is_trained(projection):
    before = {name: value.clone() for name, value in projection.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in projection.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    projection(torch.randn(3, 6)).square().sum().backward()
    optimiser.step()
    assert (projection.weight.grad, projection.bias.grad) == (None, None)
    assert projection.residual.grad.abs().max() > 0
    after = projection.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"residual"}


def test_training_relative_to_the_init_twice_keeps_the_residual(projection):
    torch.nn.init.normal_(projection.residual)
    before = projection.residual.clone()
    projection.train_residual()
    assert torch.equal(projection.residual, before)


def test_folded_it_gives_the_same_vectors_and_is_a_plain_one(projection):
    torch.nn.init.normal_(projection.residual)
    vectors = torch.randn(3, 6)
    before = projection(vectors).detach()
    projection.fold()
    assert projection.residual is None
    torch.testing.assert_close(projection(vectors), before)
    plain = Projection(6, 4)
    plain.load_state_dict(projection.state_dict())
    assert torch.equal(plain(vectors), projection(vectors))
    weight = projection.weight.clone()
    projection.fold()
    assert torch.equal(projection.weight, weight), "folding twice is folding once"


def test_a_residual_of_zero_is_folded_without_a_change(projection):
    before = {name: value.clone() for name, value in projection.state_dict().items() if name != "residual"}
    projection.fold()
    assert all(torch.equal(value, before[name]) for name, value in projection.state_dict().items())


@pytest.mark.parametrize("heads", [HEADS, SHARED], ids=["own", "shared"])
def test_folded_heads_embed_the_same_and_load_into_plain_heads(heads):
    found = trained(heads)
    with torch.inference_mode():
        before = found(*maps())
        found.fold_residuals()
        after = found(*maps())
        plain = MultiHead((6, 8), Architecture(heads)).eval()
        plain.load_state_dict(found.state_dict())
        again = plain(*maps())
    torch.testing.assert_close(after.merged, before.merged)
    for name in heads:
        torch.testing.assert_close(after.heads[name], before.heads[name])
    assert torch.equal(again.merged, after.merged)


def test_heads_that_share_a_projection_share_its_residual():
    found = trained(SHARED)
    assert found.head("one").projection.residual is found.head("two").projection.residual
    assert len([name for name, _ in found.named_parameters() if name.endswith("residual")]) == 1


@pytest.mark.parametrize("heads", [HEADS, SHARED], ids=["own", "shared"])
def test_projected_vectors_give_the_embeddings_of_the_maps(heads):
    found = trained(heads)
    with torch.inference_mode():
        projected = found.projected(*maps())
        expected, again = found(*maps()), found.adapted(projected)
    assert projected.shape == (5, sum(spec.dimensions for spec in heads.values()))
    torch.testing.assert_close(again.merged, expected.merged)
    for name in heads:
        torch.testing.assert_close(again.heads[name], expected.heads[name])


def test_local_vectors_are_those_of_the_whole_projection():
    head = trained(HEADS).head("local")
    shallow, _ = maps()
    with torch.inference_mode():
        alone = head(shallow[:, :, 1:2, 2:3])
        torch.testing.assert_close(head.local_vectors(shallow)[:, 1, 2], alone)
