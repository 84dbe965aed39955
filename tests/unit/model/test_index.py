import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from model.config import ModelConfig, TrainConfig
from model.data.images import decode_image, to_png
from model.data.manifest import read_manifest, write_manifest
from model.errors import Conflict, InvalidInput
from model.evaluation.calibration import calibrate
from model.files import read_json
from model.index import build_release
from model.networks.methods import METHODS
from model.networks.stored import NetworkSpec, save_network
from model.release import EXEMPLARS, open_release
from model.retrieval.cohort import COHORT
from model.schemas.calibration import Calibration
from model.schemas.gallery_record import IndexPlan
from model.training.candidates import Candidate
from model.training.selection import Choice
from model.training.train import HELD_OUT, train
from tests.support.datasets import SAMPLES, make_dataset
from tests.support.detection import samples, scene, thing
from tests.support.releases import make_pin, reseal

MODEL = ModelConfig(trunk="test_efficientnet", weights="none", image_size=32)
PIN = make_pin(md5="a" * 32)
WEIGHTS = {"global": 1.0, "parts": 1.0, "local": 1.0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"))


def trained(dataset, work, out, choice=None, **changes):
    config = TrainConfig(
        **{
            "epochs": 2,
            "classes_per_batch": 4,
            "images_per_class": 2,
            "device": "cpu",
            "workers": 0,
            "warmup_epochs": 0,
            "seed": 2,  # no two neighbours of a golden image are equally near
            "init": "random",  # whitening takes a while
            "learning_rates": (1e-3,),
            "folds": 1,
            **changes,
        }
    )
    train(dataset, MODEL, config, data_md5=PIN.md5, work=work, out=out, choice=choice)
    return out


@pytest.fixture(scope="module")
def frozen(dataset, tmp_path_factory):
    """A checkpoint of heads alone, and the work folder with the maps they learned from."""
    folder = tmp_path_factory.mktemp("frozen")
    return trained(dataset, folder / "work", folder / "checkpoint"), folder / "work"


def build(dataset, checkpoint, out, **options):
    return build_release(dataset, checkpoint, out, pin=PIN, code_revision="test", **options)


@pytest.fixture(scope="module")
def release(dataset, frozen, tmp_path_factory):
    checkpoint, work = frozen
    return build(dataset, checkpoint, tmp_path_factory.mktemp("release") / "release", work=work, golden_queries=3)


def test_the_gallery_holds_every_image_of_the_data(dataset, release):
    manifest = read_manifest(dataset)
    assert len(release.gallery) == SAMPLES
    assert sorted(release.gallery.ids) == sorted(manifest.ids)
    assert release.gallery.classes == manifest.classes
    by_id = dict(zip(manifest.ids, manifest.labels, strict=True))
    assert all(by_id[name] == label for name, label in zip(release.gallery.ids, release.gallery.labels, strict=True))


def test_it_gives_its_golden_answers_itself(release):
    retriever = release.retriever()
    assert len(release.golden) == 3
    for golden in release.golden:
        data = release.golden_image(golden).read_bytes()
        (found,) = retriever.search([decode_image(data)], len(golden.neighbours))
        assert [neighbour.id for neighbour in found] == [each.id for each in golden.neighbours]
        assert [neighbour.score for neighbour in found] == pytest.approx([each.score for each in golden.neighbours], abs=2e-3)
        assert found[0].score == pytest.approx(1, abs=2e-3)  # a golden image is in the gallery itself


def test_the_thresholds_are_those_of_the_validation_classes(dataset, release):
    manifest = read_manifest(dataset)
    order = [release.gallery.ids.tolist().index(name) for name in manifest.ids[manifest.rows("val")]]
    vectors = release.gallery.vectors[order]
    offsets = release.cohort.offsets(vectors)
    expected = calibrate(vectors, release.gallery.labels[order], np.zeros(len(order)), offsets)
    assert release.calibration.pairs == expected.pairs == 32
    for rate, entry in expected.verify.items():
        assert release.calibration.verify[rate].threshold == pytest.approx(entry.threshold, abs=2e-3)
        assert release.calibration.identify[rate].threshold == pytest.approx(expected.identify[rate].threshold, abs=2e-3)


def test_with_several_folds_the_thresholds_are_those_of_classes_that_the_folds_held_out(dataset, tmp_path):
    checkpoint = trained(dataset, tmp_path / "work", tmp_path / "checkpoint", folds=3, epochs=1)
    held_out = load_file(checkpoint / HELD_OUT)
    release = build(dataset, checkpoint, tmp_path / "release", work=tmp_path / "work")
    assert release.calibration == calibrate(*(held_out[name] for name in ("vectors", "labels", "folds", "offsets")))
    assert release.calibration.pairs == 3 * 32, "two classes of four images in each fold, and no pair across folds"


def test_the_cohort_is_of_the_classes_that_the_released_network_was_trained_on(dataset, release, tmp_path):
    manifest, gallery = read_manifest(dataset), release.gallery
    assert len(release.cohort.means) == len(np.unique(manifest.labels[manifest.rows("train")])), "one fold: no validation class"
    expected = [
        gallery.vectors[gallery.labels == label].mean(axis=0) for label in np.unique(manifest.labels[manifest.rows("train")])
    ]
    np.testing.assert_allclose((release.cohort.means @ np.transpose(expected)).argmax(axis=1), np.arange(len(expected)))
    checkpoint = trained(dataset, tmp_path / "work", tmp_path / "checkpoint", folds=3, epochs=1)
    folds = build(dataset, checkpoint, tmp_path / "release", work=tmp_path / "work")
    assert len(folds.cohort.means) == len(np.unique(manifest.labels[manifest.rows("train", "val")])), "all are trained on"


def test_a_checkpoint_of_earlier_code_gives_thresholds_of_similarities_as_they_are(dataset, frozen, tmp_path):
    checkpoint, work = shutil.copytree(frozen[0], tmp_path / "checkpoint"), frozen[1]
    held_out = load_file(checkpoint / HELD_OUT)
    del held_out["offsets"]
    save_file(held_out, checkpoint / HELD_OUT)
    (checkpoint / COHORT).unlink()
    release = build(dataset, checkpoint, tmp_path / "release", work=work)
    assert release.cohort is None
    assert COHORT not in release.manifest.files
    assert release.calibration == calibrate(*(held_out[name] for name in ("vectors", "labels", "folds")))


def test_a_training_that_held_nothing_out_gives_no_thresholds(dataset, tmp_path):
    choice = Choice(Candidate("random", 1e-3, True), 0, WEIGHTS)
    checkpoint = trained(dataset, tmp_path / "work", tmp_path / "checkpoint", choice=choice)
    assert build(dataset, checkpoint, tmp_path / "release", work=tmp_path / "work").calibration == Calibration()


def test_the_same_inputs_give_the_same_release(dataset, frozen, release, tmp_path):
    checkpoint, work = frozen
    again = build(dataset, checkpoint, tmp_path / "again", work=work, golden_queries=3)
    assert (again.id, again.embedding_space_id) == (release.id, release.embedding_space_id)


def test_other_weights_are_another_space_and_other_data_another_release(dataset, frozen, release, tmp_path):
    checkpoint, work = frozen
    other = trained(dataset, tmp_path / "work", tmp_path / "checkpoint", seed=1)
    assert build(dataset, other, tmp_path / "other").embedding_space_id != release.embedding_space_id
    fewer = shutil.copytree(dataset, tmp_path / "fewer")
    manifest = read_manifest(dataset)
    rows = [(str(path), manifest.classes[label], str(split), None) for path, label, split in zip(
        manifest.paths, manifest.labels, manifest.splits, strict=True)]  # fmt: skip
    write_manifest(fewer, rows[:-1])
    enrolled = build_release(
        fewer, checkpoint, tmp_path / "enrolled", pin=make_pin(md5="b" * 32), code_revision="test", work=work
    )
    assert enrolled.embedding_space_id == release.embedding_space_id
    assert enrolled.id != release.id


def test_cached_maps_and_images_give_the_same_gallery_but_for_half_precision(dataset, frozen, release, tmp_path):
    checkpoint, _ = frozen
    anew = build(dataset, checkpoint, tmp_path / "anew")
    np.testing.assert_allclose(anew.gallery.vectors, release.gallery.vectors, atol=2e-3)


def test_a_finetuned_trunk_is_not_indexed_by_the_maps_of_the_untrained_one(dataset, frozen, tmp_path):
    """A run with a frozen trunk left maps of these data and this trunk before it learned."""
    _, work = frozen
    checkpoint = trained(
        dataset,
        work,
        tmp_path / "checkpoint",
        choice=Choice(Candidate("random", 1e-3, True), 3, WEIGHTS),
        trunk="finetune",
        epochs=3,
        trunk_learning_rate=1e-2,
    )
    assert read_json(checkpoint / "training.json")["best_epoch"] == 3
    beside = build(dataset, checkpoint, tmp_path / "beside", work=work)
    alone = build(dataset, checkpoint, tmp_path / "alone")
    np.testing.assert_allclose(beside.gallery.vectors, alone.gallery.vectors, atol=1e-5)


def test_random_trunks_of_two_seeds_do_not_share_their_maps(dataset, frozen, tmp_path):
    _, work = frozen
    checkpoint = trained(dataset, work, tmp_path / "checkpoint", seed=5)
    np.testing.assert_allclose(
        build(dataset, checkpoint, tmp_path / "beside", work=work).gallery.vectors,
        build(dataset, checkpoint, tmp_path / "alone").gallery.vectors,
        atol=2e-3,
    )


def test_boxes_are_entries_of_their_own_and_golden_images_are_cut_out(dataset, frozen, tmp_path):
    checkpoint, _ = frozen
    boxed = shutil.copytree(dataset, tmp_path / "boxed")
    boxes = [(0.0, 0.0, 24.0, 24.0), (24.0, 0.0, 48.0, 24.0), (0.0, 24.0, 24.0, 48.0), (24.0, 24.0, 48.0, 48.0)]
    write_manifest(boxed, [("images/0/0.png", f"class {number % 2}", "test", box) for number, box in enumerate(boxes)])
    release = build(boxed, checkpoint, tmp_path / "release", golden_queries=4)
    assert len(set(release.gallery.ids)) == 4
    assert [each.file for each in release.golden] == ["0.png", "1.png", "2.png", "3.png"]
    assert decode_image((release.folder / "golden" / "0.png").read_bytes()).shape == (3, 24, 24)
    assert [each.neighbours[0].id for each in release.golden] == release.gallery.ids.tolist()


def test_a_network_that_says_nothing_finite_is_not_released(dataset, tmp_path):
    spec = NetworkSpec("multi_head", "test_efficientnet", 32, METHODS["multi_head"].architecture)
    network = spec.build()
    with torch.no_grad():
        network.heads.heads["global"].projection.weight.fill_(float("nan"))
    (tmp_path / "checkpoint").mkdir()
    save_network(network, spec, tmp_path / "checkpoint")
    with pytest.raises(InvalidInput, match="not finite"):
        build(dataset, tmp_path / "checkpoint", tmp_path / "release")
    assert not (tmp_path / "release").exists()


def test_what_is_written_is_whole(release):
    assert open_release(release.folder).id == release.id
    manifest = json.loads((release.folder / "manifest.json").read_text())
    assert manifest["data"]["md5"] == PIN.md5
    assert set(manifest["files"]) >= {"weights.safetensors", "config.json", "calibration.json", "gallery/vectors.npy"}


@pytest.fixture(scope="module")
def shelves(tmp_path_factory):
    """Objects with texture in images with boxes."""
    folder = tmp_path_factory.mktemp("shelves")
    for sample in samples():
        (folder / sample.id.partition("#")[0]).write_bytes(to_png(sample.image))
    write_manifest(folder, [(each.id.partition("#")[0], each.label, "test", each.box) for each in samples()])
    return folder


def test_data_with_boxes_give_a_release_that_detects(shelves, frozen, tmp_path):
    release = build(shelves, frozen[0], tmp_path / "release")
    found = release.detector.detect(scene((thing("jar"), 100, 60)))
    assert found[0].label == "jar"
    assert open_release(release.folder).detector.detect(scene((thing("jar"), 100, 60))) == found
    again = build(shelves, frozen[0], tmp_path / "again")
    assert again.id == release.id


def test_a_release_detects_only_where_boxes_or_a_setting_say_so(dataset, shelves, frozen, release, tmp_path):
    assert release.detector is None
    assert build(shelves, frozen[0], tmp_path / "never", detection="never").detector is None
    whole = shutil.copytree(shelves, tmp_path / "whole")
    write_manifest(whole, [(each.id.partition("#")[0], each.label, "test", None) for each in samples()])
    assert build(whole, frozen[0], tmp_path / "auto").detector is None
    assert build(whole, frozen[0], tmp_path / "always", detection="always").detector is not None


def test_images_without_keypoints_give_a_release_that_does_not_detect(frozen, tmp_path):
    folder = tmp_path / "blank"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(to_png(torch.full((3, 60, 60), 128, dtype=torch.uint8)))
    write_manifest(folder, [(f"{name}.png", name, "test", (5.0, 5.0, 50.0, 50.0)) for name in ("a", "b")])
    assert build(folder, frozen[0], tmp_path / "release").detector is None


def test_exemplars_of_other_weights_are_refused(shelves, frozen, dataset, tmp_path):
    release = build(shelves, frozen[0], tmp_path / "release")
    other = build(shelves, trained(dataset, tmp_path / "work", tmp_path / "checkpoint", seed=1), tmp_path / "other")
    shutil.copy2(release.folder / EXEMPLARS, other.folder / EXEMPLARS)
    with pytest.raises(InvalidInput, match="was changed"):
        open_release(other.folder)
    mixed = reseal(other.folder, tmp_path / "mixed")
    with pytest.raises(Conflict, match="of this embedding space"):
        _ = mixed.detector


def test_a_release_records_the_recall_of_its_lists_and_its_golden_answers_are_theirs(dataset, frozen, tmp_path):
    checkpoint, work = frozen
    release = build(dataset, checkpoint, tmp_path / "release", work=work, index=IndexPlan("ivf", min_recall=0.5))
    assert release.gallery.index.kind == "ivf"
    assert 0.5 <= release.gallery.index.recall_at_10 <= 1
    assert {"gallery/ivf/centroids.npy", "gallery/ivf/sizes.npy", "gallery/ivf/lists.bin"} <= set(release.manifest.files)
    for golden in release.golden:
        scores, rows = release.gallery.search(np.array([golden.embedding], np.float32), len(golden.neighbours))
        assert [release.gallery.entries.id_of(row) for row in rows[0]] == [each.id for each in golden.neighbours]
        assert scores[0] == pytest.approx([each.score for each in golden.neighbours], abs=1e-5)
