import numpy as np
import pytest
import torch

from model.errors import InvalidInput
from model.networks.architecture import Architecture, HeadSpec
from model.networks.heads import Head, MultiHead, RetrievalNetwork
from model.networks.methods import get_method
from model.networks.trunk import make_trunk
from model.networks.trunk_names import LITE0
from model.retrieval.geometric_verification import mutual_nearest, rerank, verify
from model.retrieval.local_features import (
    LocalFeatures,
    extract,
    features_of_map,
    fit_reduction,
    keypoints,
    local_head,
    local_map,
    strongest,
    visible_positions,
)
from tests.support.images import scenery

SIZE = 160


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    trunk = make_trunk(LITE0, "offline")
    return RetrievalNetwork(trunk, MultiHead(trunk.channels, get_method("multi_head").architecture)).eval()


def positions(scores, dimensions=4):
    """One image's map whose positions have these lengths, each in a direction of its own."""
    scores = torch.as_tensor(scores, dtype=torch.float32)
    directions = torch.nn.functional.normalize(torch.randn(*scores.shape, dimensions), dim=-1)
    return (directions * scores[..., None])[None], scores[None]


def test_a_shifted_crop_is_found_to_be_shifted_by_that_much(network):
    image = scenery()
    first, second = extract(network, [image[:, :SIZE, :SIZE], image[:, 32 : 32 + SIZE, 48 : 48 + SIZE]], SIZE)
    matches = mutual_nearest(first, second)
    inliers = verify(first, second, matches)
    assert inliers.sum() >= 10
    shifts = second.positions[matches.candidate[inliers]] - first.positions[matches.query[inliers]]
    assert np.median(shifts, axis=0).tolist() == pytest.approx([-48, -32], abs=2)


def test_the_image_that_overlaps_the_query_is_ranked_before_others(network):
    query = scenery()
    images = [query[:, :SIZE, :SIZE], scenery(1), scenery(2), query[:, 32 : 32 + SIZE, 32 : 32 + SIZE]]
    query_features, *candidates = extract(network, images, SIZE)
    result = rerank(query_features, candidates, np.float32([0.75, 0.72, 0.7]), budget_ms=1e9)
    assert result.order[0] == 2


def test_extraction_says_the_same_every_time_and_of_one_image_as_of_many(network):
    images = [scenery(0), scenery(1)]
    one, again = extract(network, images, SIZE)[1], extract(network, images, SIZE)[1]
    assert (one.descriptors == again.descriptors).all()
    (alone,) = extract(network, images[1:], SIZE)
    assert alone.scores == pytest.approx(one.scores, rel=1e-4)


def test_descriptors_are_as_long_as_the_local_head_and_positions_lie_in_the_image(network):
    (found,) = extract(network, [scenery(side=120)], SIZE)
    assert found.descriptors.shape == (100, 64)
    assert np.linalg.norm(found.descriptors, axis=1) == pytest.approx(np.ones(100), abs=1e-5)
    assert found.scales.tolist() == [16.0] * 100
    assert sorted({float(x) for x in found.positions[:, 0]}) == [8.0 + 16 * position for position in range(10)]
    assert ((found.positions > 0) & (found.positions < found.size)).all()
    assert (np.diff(found.scores) <= 0).all()


def test_a_pyramid_adds_finer_keypoints_within_the_same_limit(network):
    (found,) = extract(network, [scenery()], SIZE, pyramid=(1.0, 2.0), limit=150)
    assert len(found) == 150
    assert set(found.scales.tolist()) == {16.0, 8.0}
    assert found.positions.max() < SIZE
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("shade", [0, 90, 255])
def test_a_blank_image_has_no_keypoints_and_its_neighbour_in_the_batch_has(network, shade):
    blank, other = extract(network, [torch.full((3, SIZE, SIZE), shade, dtype=torch.uint8), scenery()], SIZE)
    assert (len(blank), len(other)) == (0, 100)
    assert blank.descriptors.shape == (0, 64)
    assert rerank(blank, [other], np.float32([1])).ended == "no_keypoints"


def test_a_blank_part_of_an_image_has_no_keypoints(network):
    image = scenery(side=SIZE)
    image[:, :, 80:] = 255
    (found,) = extract(network, [image], SIZE)
    assert len(found) == 50
    assert found.positions[:, 0].max() == 72


def test_a_position_is_visible_where_any_channel_has_contrast():
    image = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
    image[0, 1, 0, 0], image[0, 2, 3, 3] = 84, 115
    assert visible_positions(image, 2, 2).tolist() == [[[True, False], [False, False]]]


def test_the_highest_scores_come_first_and_no_more_than_the_limit():
    (found,) = keypoints(*positions([[1.0, 5.0], [3.0, 4.0], [2.0, 6.0]]), size=96, limit=4)
    assert found.scores.tolist() == [6, 5, 4, 3]
    assert found.positions.tolist() == [[72, 80], [72, 16], [72, 48], [24, 48]]  # positions of 48 x 32 pixels
    assert found.scales.tolist() == [48] * 4


def test_equal_scores_come_in_reading_order():
    (found,) = keypoints(*positions([[1.0, 1.0], [1.0, 1.0]]), size=2)
    assert found.positions.tolist() == [[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]]


def test_positions_whose_score_is_zero_negative_or_not_finite_give_none():
    vectors, scores = positions([[1.0, 0.0, -1.0], [np.nan, np.inf, 2.0]])
    (found,) = keypoints(torch.where(vectors.isfinite(), vectors, 1.0), scores, size=9)
    assert found.scores.tolist() == [2, 1]


def test_a_position_whose_vector_is_not_finite_gives_none():
    vectors, scores = positions([[1.0, 2.0]])
    vectors[0, 0, 1, 0] = np.nan
    (found,) = keypoints(vectors, scores, size=8)
    assert found.positions.tolist() == [[2, 4]]


def test_positions_at_which_the_trunk_sees_nothing_give_none(network):
    features = torch.rand(1, 112, 4, 4, generator=torch.Generator().manual_seed(0))
    features[:, :, :2] = 0
    (found,) = features_of_map(local_head(network.heads), features, 64)
    assert len(found) == 8
    assert found.positions[:, 1].min() == 40


def test_a_position_is_scored_by_its_likeness_to_the_whole_image():
    head = Head(2, HeadSpec("shallow", 2, attention="none", pooling="average", layer_norm=False))
    with torch.no_grad():
        head.projection.weight.copy_(torch.eye(2))
        head.projection.bias.zero_()
    features = torch.tensor([[5.0, 1.0], [0.0, 8.0]])[None, :, None, :]  # positions (5, 0) and (1, 8): mean (3, 4)
    (found,) = features_of_map(head, features, 32)
    assert found.positions.tolist() == [[24, 16], [8, 16]]
    assert found.scores == pytest.approx([(1 + 35 / 5 / 65**0.5) / 2, (1 + 0.6) / 2])


@pytest.mark.parametrize("field", ["positions", "scales", "scores", "descriptors"])
def test_what_is_not_finite_is_refused(field):
    values = {"positions": np.ones((2, 2)), "scales": np.ones(2), "scores": np.ones(2), "descriptors": np.eye(2)}
    values[field][0] = np.nan
    with pytest.raises(InvalidInput, match="not finite"):
        LocalFeatures(**{name: value.astype(np.float32) for name, value in values.items()}, size=4)


def test_a_method_without_a_local_head_has_none():
    with pytest.raises(InvalidInput, match="no local head"):
        local_head(MultiHead((4, 6), Architecture({"global": HeadSpec("deep", 8)})))


def test_a_method_with_an_autoencoder_is_described_by_it_on_the_shallow_map():
    torch.manual_seed(0)
    heads = MultiHead((4, 6), get_method("delg").architecture).eval()
    shallow, deep = torch.rand(1, 4, 4, 4), torch.rand(1, 6, 2, 2)
    assert local_head(heads) is heads.autoencoder
    assert local_map(heads, shallow, deep) is shallow
    with torch.inference_mode():
        (found,) = features_of_map(heads.autoencoder, shallow, 64)
        descriptors, scores = heads.autoencoder.local_descriptors(shallow)
    best = scores.flatten().argmax()
    assert found.descriptors.shape == (16, 128)
    assert found.scores[0] == pytest.approx(scores.max().item())
    assert found.descriptors[0] == pytest.approx(descriptors.reshape(16, 128)[best].numpy(), abs=1e-6)
    assert found.positions[0].tolist() == [16 * (best % 4) + 8, 16 * (best // 4) + 8]


def test_a_local_head_reads_the_map_it_was_made_for():
    shallow, deep = torch.rand(1, 4, 4, 4), torch.rand(1, 6, 2, 2)
    assert local_map(MultiHead((4, 6), get_method("multi_head").architecture), shallow, deep) is shallow
    assert local_map(MultiHead((4, 6), get_method("sona").architecture), shallow, deep) is deep


def test_a_long_head_needs_a_reduction_and_works_with_one():
    torch.manual_seed(0)
    heads = MultiHead((112, 320), get_method("multi_head_paper").architecture).eval()
    head, features = local_head(heads), torch.rand(2, 112, 5, 5)
    with torch.inference_mode():
        with pytest.raises(InvalidInput, match="reduction"):
            features_of_map(head, features, 80)
        reduction = fit_reduction([head.local_vectors(features[:1]), head.local_vectors(features[1:])])
        found = features_of_map(head, features, 80, reduction=reduction)
    assert reduction.shape == (256, 128)
    assert reduction.T @ reduction == pytest.approx(np.eye(128), abs=1e-4)
    assert [one.descriptors.shape for one in found] == [(25, 128)] * 2


def test_a_reduction_keeps_similarities_when_the_vectors_need_no_more_dimensions():
    torch.manual_seed(0)
    vectors = torch.randn(40, 3) @ torch.randn(3, 20)  # 3 dimensions' worth in 20
    unit = torch.nn.functional.normalize(vectors, dim=1).numpy()
    reduced = unit @ fit_reduction([vectors[:25], vectors[25:]], 3)
    assert reduced @ reduced.T == pytest.approx(unit @ unit.T, abs=1e-5)


def test_the_levels_of_a_pyramid_are_merged_by_score():
    one, two = (keypoints(*positions([[a, b]]), size=8)[0] for a, b in ((1.0, 4.0), (3.0, 2.0)))
    assert strongest([one, two], 3).scores.tolist() == [4, 3, 2]
