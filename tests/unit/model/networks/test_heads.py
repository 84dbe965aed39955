import pytest
import torch
import torch.nn.functional as F

from model.networks.architecture import Architecture, HeadSpec
from model.networks.heads import Embeddings, Head, MultiHead, RetrievalNetwork, untrained_embedding
from model.networks.methods import ABLATIONS, METHODS, get_method
from model.networks.stored import NetworkSpec
from model.networks.trunk import Trunk

PLAIN = {"attention": "none", "pooling": "average", "layer_norm": False}


def constant(*values: float) -> torch.Tensor:
    """A map of one image that is the same everywhere: (1, C, 2, 2)."""
    return torch.tensor(values)[None, :, None, None].expand(1, len(values), 2, 2)


def identity_head(spec: HeadSpec) -> Head:
    head = Head(2, spec)
    with torch.no_grad():
        head.projection.weight.copy_(torch.eye(2))
        head.projection.bias.zero_()
    return head


def two_heads(weight: float | None) -> MultiHead:
    architecture = Architecture(
        {
            "global": HeadSpec("deep", 2, weight=None if weight is None else 1.0, **PLAIN),
            "local": HeadSpec("shallow", 2, weight=weight, **PLAIN),
        }
    )
    heads = MultiHead((2, 2), architecture)
    for name, spec in architecture.heads.items():
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


def test_a_loss_may_stand_on_all_heads_or_on_what_the_autoencoder_says():
    one, two, errors = torch.ones(3, 2), torch.zeros(3, 2), torch.ones(3)
    embeddings = Embeddings(torch.ones(3, 4), {"one": one, "two": two}, {"reconstruction_error": errors})
    assert torch.equal(embeddings.on("heads"), torch.stack([one, two]))
    assert embeddings.on("reconstruction_error") is errors


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return Trunk("test_efficientnet").eval()


@pytest.mark.parametrize("name", sorted(METHODS | ABLATIONS))
def test_every_method_builds_and_embeds_at_unit_length_in_512_dimensions(name, trunk):
    torch.manual_seed(0)
    architecture = get_method(name).architecture
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, architecture)).eval()
    with torch.inference_mode():
        found = network(torch.randn(3, 3, 64, 64))
    assert found.merged.shape == (3, 512)
    assert architecture.dimensions == 512
    assert found.merged.norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert list(found.heads) == list(architecture.heads)
    for head, spec in architecture.heads.items():
        assert found.heads[head].shape == (3, spec.dimensions)
        assert found.heads[head].norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)


def learning(name: str) -> tuple[MultiHead, Embeddings]:
    """A method's heads in training and what they say of three images."""
    torch.manual_seed(0)
    heads = MultiHead((6, 10), get_method(name).architecture).train()
    return heads, heads(torch.rand(3, 6, 4, 4), torch.rand(3, 10, 2, 2))


@pytest.mark.parametrize("name", sorted(METHODS | ABLATIONS))
def test_all_that_a_methods_losses_stand_on_is_there_in_training_and_as_wide_as_it_is_said_to_be(name):
    heads, embeddings = learning(name)
    for spec in get_method(name).losses:
        found = embeddings.on(spec.on)
        assert len(found) == (len(heads.heads) if spec.on == "heads" else 3)
        if spec.on not in {"heads", "reconstruction_error"}:
            assert found.shape == (3, heads.widths[spec.on])


def test_the_autoencoder_is_asked_in_training_alone():
    heads, embeddings = learning("delg")
    assert set(embeddings.local) == {"attended", "reconstruction_error"}
    assert heads.eval()(torch.rand(3, 6, 4, 4), torch.rand(3, 10, 2, 2)).local == {}
    assert learning("solar")[1].local == {}


@pytest.mark.parametrize("output", ["attended", "reconstruction_error"])
def test_no_gradient_of_the_local_features_reaches_the_trunk(output):
    torch.manual_seed(0)
    network = NetworkSpec("delg", "test_efficientnet", 64, METHODS["delg"].architecture).build().train()
    shallow, deep = network.trunk(torch.randn(2, 3, 64, 64))
    shallow.retain_grad()
    network.heads(shallow, deep).on(output).square().sum().backward()
    assert shallow.grad is None
    assert all(parameter.grad is None for parameter in network.trunk.parameters())
    assert all(parameter.grad is None for _, head in network.heads.named_heads() for parameter in head.parameters())
    learnt = {name.split(".")[0] for name, value in network.heads.autoencoder.named_parameters() if value.grad is not None}
    assert learnt == ({"attention", "encoder", "decoder"} if output == "attended" else {"encoder", "decoder"})
    assert network.heads.autoencoder.encoder.weight.grad.abs().max() > 0


def test_the_gradient_of_the_global_head_does_reach_the_trunk():
    torch.manual_seed(0)
    network = NetworkSpec("delg", "test_efficientnet", 64, METHODS["delg"].architecture).build().train()
    network(torch.randn(2, 3, 64, 64)).merged[:, 0].sum().backward()
    assert next(network.trunk.parameters()).grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.heads.autoencoder.parameters())


def test_heads_that_share_a_projection_have_one_weight_and_masks_of_their_own():
    heads, embeddings = learning("abe")
    assert len(heads.heads) == 8
    assert len({head.projection.weight.data_ptr() for _, head in heads.named_heads()}) == 1
    assert len([name for name, _ in heads.named_parameters() if name.endswith("projection.weight")]) == 1
    embeddings.heads["learner_8"].sum().backward()
    assert heads.head("learner_1").projection.weight.grad.abs().max() > 0
    assert heads.head("learner_1").attention.mask[0].weight.grad is None
    assert heads.head("learner_8").attention.mask[0].weight.grad.abs().max() > 0


def test_a_heads_weight_in_the_merged_vector_may_be_changed():
    heads = two_heads(0.5)
    heads.weights[1] = 2.0
    merged = heads(shallow=constant(0.0, 7.0), deep=constant(3.0, 4.0)).merged[0]
    assert merged.tolist() == pytest.approx([0.6 / 5**0.5, 0.8 / 5**0.5, 0.0, 2 / 5**0.5])


def test_the_weights_of_the_heads_are_known_by_name():
    assert two_heads(0.5).named_weights == {"global": 1.0, "local": 0.5}


def test_maps_made_before_and_images_give_the_same_embedding():
    torch.manual_seed(0)
    trunk = Trunk("test_efficientnet")
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, METHODS["multi_head"].architecture)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(images).merged, network(*trunk(images)).merged)


def test_the_untrained_embedding_is_the_deep_map_averaged_at_unit_length():
    deep = torch.tensor([[[[2.0, 4.0]], [[4.0, 4.0]]]])  # (1, 2, 1, 2): means 3 and 4
    assert untrained_embedding(deep)[0].tolist() == pytest.approx([0.6, 0.8])
    assert torch.equal(untrained_embedding(deep), F.normalize(deep.mean(dim=(2, 3)), dim=1))


def test_a_positions_vector_is_what_the_head_makes_of_an_image_of_that_position_alone():
    torch.manual_seed(0)
    head = Head(6, HeadSpec("shallow", 4, attention="none", pooling="average")).eval()
    features = torch.randn(2, 6, 3, 5)
    positions = head.local_vectors(features)
    assert positions.shape == (2, 3, 5, 4)
    assert torch.allclose(positions[1, 2, 3], head(features[1:, :, 2:3, 3:4])[0], atol=1e-6)


def test_a_head_describes_positions_by_their_own_vectors_and_scores_them_by_their_likeness_to_the_whole():
    torch.manual_seed(0)
    head = Head(6, HeadSpec("shallow", 4, channels=3, pooling="second_moment")).eval()
    features = torch.randn(2, 6, 3, 5)
    descriptors, scores = head.local_descriptors(features)
    positions, whole = head.local_vectors(features).detach(), head(features).detach()
    for image in range(2):
        for y in range(3):
            for x in range(5):
                own = positions[image, y, x] / positions[image, y, x].norm()
                likeness = float(own @ whole[image] / whole[image].norm())
                assert torch.allclose(descriptors[image, y, x], own, atol=1e-6)
                assert scores[image, y, x].item() == pytest.approx((1 + likeness) / 2, abs=1e-5)


def test_without_standardisation_positions_average_to_the_embedding():
    torch.manual_seed(0)
    head = Head(6, HeadSpec("shallow", 4, attention="second_order", pooling="average", layer_norm=False)).eval()
    torch.nn.init.normal_(head.attention.psi.weight)  # attention that does something
    features = torch.randn(2, 6, 3, 5)
    assert torch.allclose(head.local_vectors(features).mean(dim=(1, 2)), head(features), atol=1e-5)
