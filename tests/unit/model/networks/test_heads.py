import pytest
import torch
import torch.nn.functional as F

from model.errors import InvalidInput
from model.networks.heads import Embeddings, Head, MultiHead, RetrievalNetwork, untrained_embedding
from model.networks.methods import METHODS, HeadSpec, Method, get_method
from model.networks.trunk import Trunk

PLAIN = {"attention": "none", "pooling": "average", "layer_norm": False}


def constant(*values: float) -> torch.Tensor:
    """A map of one picture that is the same everywhere: (1, C, 2, 2)."""
    return torch.tensor(values)[None, :, None, None].expand(1, len(values), 2, 2)


def identity_head(spec: HeadSpec) -> Head:
    head = Head(2, spec)
    with torch.no_grad():
        head.projection.weight.copy_(torch.eye(2))
        head.projection.bias.zero_()
    return head


def two_heads(weight: float | None) -> MultiHead:
    method = Method(
        heads={
            "global": HeadSpec("deep", 2, weight=None if weight is None else 1.0, **PLAIN),
            "local": HeadSpec("shallow", 2, weight=weight, **PLAIN),
        },
        losses=(),
    )
    heads = MultiHead((2, 2), method)
    for name, spec in method.heads.items():
        heads.heads[name] = identity_head(spec)
    return heads.eval()


def test_the_merged_embedding_is_the_weighted_concatenation_at_unit_length():
    found = two_heads(0.5)(shallow=constant(0.0, 7.0), deep=constant(3.0, 4.0))
    assert found.heads["global"][0].tolist() == pytest.approx([0.6, 0.8])
    assert found.heads["local"][0].tolist() == pytest.approx([0.0, 1.0])
    length = (0.36 + 0.64 + 0.25) ** 0.5
    assert found.merged[0].tolist() == pytest.approx([0.6 / length, 0.8 / length, 0.0, 0.5 / length])


def test_without_a_weight_heads_are_merged_at_their_own_lengths():
    found = two_heads(None)(shallow=constant(0.0, 12.0), deep=constant(3.0, 4.0))
    assert found.merged[0].tolist() == pytest.approx([3 / 13, 4 / 13, 0.0, 12 / 13])


def test_the_global_head_reads_the_deep_map_and_the_local_one_the_shallow():
    heads = two_heads(0.5)
    before = heads(constant(1.0, 2.0), constant(3.0, 4.0)).heads
    after = heads(constant(5.0, 1.0), constant(3.0, 4.0)).heads
    assert torch.equal(before["global"], after["global"])
    assert not torch.allclose(before["local"], after["local"])


def test_layer_norm_standardises_what_is_projected():
    head = identity_head(HeadSpec("deep", 2, attention="none", pooling="average", layer_norm=True))
    assert head(constant(1.0, 5.0))[0].tolist() == pytest.approx([-1.0, 1.0], abs=1e-4)


def test_a_loss_stands_on_the_merged_embedding_or_on_a_heads():
    merged, local = torch.ones(1, 2), torch.zeros(1, 2)
    embeddings = Embeddings(merged, {"local": local})
    assert embeddings.on("merged") is merged
    assert embeddings.on("local") is local


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_builds_and_embeds_at_unit_length(name):
    torch.manual_seed(0)
    method = get_method(name)
    trunk = Trunk("test_efficientnet")
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, method)).eval()
    with torch.inference_mode():
        found = network(torch.randn(3, 3, 64, 64))
    assert found.merged.shape == (3, method.dimensions)
    assert found.merged.norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    for head, spec in method.heads.items():
        assert found.heads[head].shape == (3, spec.dimensions)
        assert found.heads[head].norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert {spec.on for spec in method.losses} <= {"merged", *method.heads}


def test_maps_made_before_and_pictures_give_the_same_embedding():
    torch.manual_seed(0)
    trunk = Trunk("test_efficientnet")
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, METHODS["multi_head"])).eval()
    pictures = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(pictures).merged, network(*trunk(pictures)).merged)


def test_an_unknown_method_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InvalidInput, match="There is no method best") as caught:
        get_method("best")
    assert all(name in caught.value.hint for name in METHODS)


def test_the_untrained_embedding_is_the_deep_map_averaged_at_unit_length():
    deep = torch.tensor([[[[2.0, 4.0]], [[4.0, 4.0]]]])  # (1, 2, 1, 2): means 3 and 4
    assert untrained_embedding(deep)[0].tolist() == pytest.approx([0.6, 0.8])
    assert torch.equal(untrained_embedding(deep), F.normalize(deep.mean(dim=(2, 3)), dim=1))


def test_a_places_vector_is_what_the_head_makes_of_a_picture_of_that_place_alone():
    torch.manual_seed(0)
    head = Head(6, HeadSpec("shallow", 4, attention="none", pooling="average")).eval()
    features = torch.randn(2, 6, 3, 5)
    places = head.places(features)
    assert places.shape == (2, 3, 5, 4)
    assert torch.allclose(places[1, 2, 3], head(features[1:, :, 2:3, 3:4])[0], atol=1e-6)


def test_without_standardisation_places_average_to_the_embedding():
    torch.manual_seed(0)
    head = Head(6, HeadSpec("shallow", 4, pooling="average", layer_norm=False)).eval()
    torch.nn.init.normal_(head.attention.psi.weight)  # attention that does something
    features = torch.randn(2, 6, 3, 5)
    assert torch.allclose(head.places(features).mean(dim=(1, 2)), head(features), atol=1e-5)
