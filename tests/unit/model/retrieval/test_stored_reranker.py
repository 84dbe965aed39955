import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.errors import Conflict, InvalidInput
from model.retrieval.local_features import LocalFeatures
from model.retrieval.stored_reranker import load_reranker, pack, save_reranker

SPACE, SIZE = "s" * 16, 160


def features(count, seed):
    """Random keypoints, on a grid of 16 pixels."""
    random = np.random.default_rng(seed)
    descriptors = random.normal(size=(count, 8)).astype(np.float32)
    return LocalFeatures(
        (random.integers(0, 10, (count, 2)) * 16 + 8).astype(np.float32),
        np.full(count, 16, np.float32),
        np.sort(random.random(count).astype(np.float32))[::-1],
        descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True),
        SIZE,
    )


IMAGES = [features(5, 0), features(0, 1), features(3, 2)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "local_features.safetensors"
    save_reranker(path, pack(IMAGES, SIZE), np.eye(8, dtype=np.float32), 0.9, SPACE)
    return path


def load(file, **changes):
    return load_reranker(file, **{"space": SPACE, "images": 3, "size": SIZE, **changes})


def test_each_image_is_read_as_it_was_written_but_for_half_precision(file):
    reranker = load(file)
    assert reranker.ratio == 0.9
    assert reranker.reduction.tolist() == np.eye(8).tolist()
    for row, image in enumerate(IMAGES):
        found = reranker.features[row]
        assert found.positions.tolist() == image.positions.tolist()
        assert found.descriptors.dtype == np.float32
        np.testing.assert_allclose(found.descriptors, image.descriptors, atol=1e-3)
        np.testing.assert_allclose(found.scores, image.scores, atol=1e-3)
        assert (found.scales == 16).all()
    assert len(reranker.features) == 3


def test_a_short_head_needs_no_reduction(tmp_path):
    save_reranker(tmp_path / "file", pack(IMAGES, SIZE), None, 1.0, SPACE)
    assert load(tmp_path / "file").reduction is None


def test_the_local_features_of_another_gallery_are_refused(file):
    with pytest.raises(InvalidInput, match="of this gallery"):
        load(file, images=2)


def test_the_local_features_of_another_space_are_refused(file):
    with pytest.raises(Conflict, match="of this embedding space"):
        load(file, space="t" * 16)


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def without(name):
    def remove(file):
        arrays = load_file(file)
        del arrays[name]
        save_file(arrays, file, metadata={"embedding_space_id": SPACE, "ratio": "0.9"})

    return remove


def other(**arrays):
    def change(file):
        save_file(load_file(file) | arrays, file, metadata={"embedding_space_id": SPACE, "ratio": "0.9"})

    return change


def unnamed(file):
    save_file(load_file(file), file)


def ratio(value):
    return lambda file: save_file(load_file(file), file, metadata={"embedding_space_id": SPACE, "ratio": value})


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"\x80\x04K\x01."),
        without("descriptors"),
        without("offsets"),
        other(offsets=np.array([0, 5, 4, 8])),
        other(offsets=np.array([0, 5, 5, 9])),
        other(offsets=np.float64([0, 5, 5, 8])),
        other(scores=np.ones(7, np.float16)),
        other(positions=np.ones((8, 3), np.float16)),
        other(descriptors=np.ones((8, 8), np.float64)),
        other(descriptors=np.ones(8, np.float16)),
        other(scores=np.ones((), np.float16)),
        unnamed,
        ratio("half"),
        ratio("nan"),
        ratio("2"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(file, damage):
    damage(file)
    with pytest.raises(InvalidInput, match=r"^local_features\.safetensors does not hold") as caught:
        load(file)
    assert "\n" not in caught.value.headline


def test_the_same_features_give_the_same_bytes_each_time(tmp_path):
    written = set()
    for number in range(10):  # the library orders two entries of the metadata anew each time
        save_reranker(tmp_path / str(number), pack(IMAGES, SIZE), np.eye(8, dtype=np.float32), 0.9, SPACE)
        written.add((tmp_path / str(number)).read_bytes())
    assert len(written) == 1
