"""The operations over one tiny release with two classes that are far apart, through the engine."""

import shutil

import numpy as np
import pytest

from model.data.images import to_png
from model.errors import Conflict, GlocalError, InvalidInput, NotFound
from model.files import write_json
from model.retrieval.cohort import COHORT, Cohort
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.retriever import Retriever
from serving.engine.engine import Engine
from serving.operations import OPERATIONS
from serving.operations.query import make_query
from tests.support.detection import add_exemplars, scene, thing
from tests.support.operations import CALIBRATION, THRESHOLD
from tests.support.releases import ENTRIES, draw_image, make_parts, make_release, reseal


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """The gallery's even rows are of group `even`, the odd ones of `odd`."""
    parts = make_parts(tmp_path_factory.mktemp("operations") / "parts")
    add_exemplars(parts)
    write_json(parts / "calibration.json", CALIBRATION.model_dump())
    stored = reseal(parts, parts.with_name("ungrouped")).gallery
    groups = np.array(["even", "odd"])[np.arange(ENTRIES) % 2]
    grouped = LocalGallery(stored.vectors, Entries.of(stored.labels, stored.ids, stored.classes, groups))
    grouped.save(parts / "gallery", reseal(parts, parts.with_name("again")).embedding_space_id)
    return reseal(parts, parts.with_name("release"))


@pytest.fixture(scope="module")
def engine(release):
    return Engine(release.folder, version="3")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return Engine(make_release(tmp_path_factory.mktemp("bare") / "release").folder)


def ask(engine, operation, *images, **options):
    return engine.answer(make_query(operation, images, options))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_has_the_fields_of_its_schema_and_names_the_model(engine, release, name):
    operation = OPERATIONS[name]
    answer = operation.answer.model_validate(ask(engine, name, *[draw_image(1)] * operation.images))
    assert (answer.release, answer.embedding_space_id, answer.model_version) == (release.id, release.embedding_space_id, "3")


def test_an_embedding_is_the_gallerys_vector_of_the_same_image(engine, release):
    embedding = np.array(ask(engine, "embed", draw_image(4))["embedding"])
    assert embedding @ release.gallery.vectors[4] == pytest.approx(1, abs=1e-4)


def test_a_search_by_label_finds_that_class_alone(engine):
    found = ask(engine, "search", draw_image(0), k=99, label="class 3")["neighbours"]
    assert {one["id"] for one in found} == {"drawn/3.png", "drawn/8.png"}
    assert found == sorted(found, key=lambda one: -one["score"])


def test_a_search_by_group_and_label_finds_what_is_in_both(engine):
    (found,) = ask(engine, "search", draw_image(0), k=99, label="class 3", group="odd")["neighbours"]
    assert found["id"] == "drawn/3.png"


@pytest.mark.parametrize(("options", "named"), [({"label": "clas 3"}, "'class 3'"), ({"group": "evn"}, "'even'")])
def test_an_unknown_label_or_group_is_refused_with_the_nearest_name(engine, options, named):
    with pytest.raises(InvalidInput, match=f"Did you mean {named}"):
        ask(engine, "search", draw_image(0), **options)


def test_a_label_that_is_like_none_brings_no_suggestion(engine):
    with pytest.raises(InvalidInput, match="no label 'zq'") as refused:
        ask(engine, "search", draw_image(0), label="zq")
    assert refused.value.hint == ""


def test_a_gallery_without_groups_has_none_to_ask_for(bare):
    with pytest.raises(InvalidInput, match="no group 'even'"):
        ask(bare, "search", draw_image(0), group="even")


def test_an_image_is_the_same_as_itself_and_not_as_another(engine):
    same, other = ask(engine, "verify", draw_image(1), draw_image(1)), ask(engine, "verify", draw_image(1), draw_image(2))
    assert same["same"]
    assert same["score"] == pytest.approx(1, abs=1e-4)
    assert other["same"] == (other["score"] > THRESHOLD)
    assert (same["threshold"], same["false_accept_rate"], same["false_accept_interval"]) == (THRESHOLD, 0.01, (0.0, 0.02))


def test_the_threshold_of_a_pair_is_higher_the_more_its_images_resemble_training_classes(release, tmp_path):
    """Image 1 is the only training class: its offset is the largest."""
    parts = make_parts(tmp_path / "parts")
    Cohort(release.gallery.vectors[1:2], 0.25).save(parts / COHORT)
    write_json(parts / "calibration.json", CALIBRATION.model_copy(update={"normalised": True}).model_dump())
    engine, vectors = Engine(reseal(parts, tmp_path / "release").folder), release.gallery.vectors
    same, other = ask(engine, "verify", draw_image(1), draw_image(1)), ask(engine, "verify", draw_image(1), draw_image(2))
    assert same["threshold"] == pytest.approx(THRESHOLD + 0.5, abs=1e-4)
    assert not same["same"]
    assert other["threshold"] == pytest.approx(THRESHOLD + 0.25 * (1 + vectors[1] @ vectors[2]), abs=1e-4)
    assert ask(engine, "identify", draw_image(1))["threshold"] == THRESHOLD, "identify compares similarities as they are"


def test_where_a_release_does_not_re_rank_no_matches_are_named(engine):
    assert "matches" not in ask(engine, "verify", draw_image(1), draw_image(1), matches=True)
    assert all("matches" not in one for one in ask(engine, "search", draw_image(1), matches=True)["neighbours"])


def test_an_image_of_the_gallery_is_identified_with_its_runner_up(engine):
    answer = ask(engine, "identify", draw_image(7))
    assert (answer["known"], answer["label"], answer["best"]) == (True, "class 2", "class 2")
    assert answer["runner_up"] != "class 2"
    other = ask(engine, "search", draw_image(7), k=99, rerank=False)["neighbours"]
    best_of_others = max(one["score"] for one in other if one["label"] != "class 2")
    assert answer["margin"] == pytest.approx(answer["score"] - best_of_others, abs=2e-6)


def test_what_is_below_the_threshold_is_unknown_and_its_best_match_is_named(engine, release):
    vectors, image = release.gallery.vectors, 1000
    while (np.array(ask(engine, "embed", draw_image(image))["embedding"]) @ vectors.T).max() > THRESHOLD:
        image += 1
    answer = ask(engine, "identify", draw_image(image))
    assert (answer["known"], answer["label"]) == (False, "unknown")
    assert answer["best"] in release.gallery.classes
    assert answer["score"] <= THRESHOLD


def test_an_unknown_rate_is_refused_and_the_known_ones_are_named(engine):
    with pytest.raises(InvalidInput, match=r"It has some for 0\.01"):
        ask(engine, "verify", draw_image(0), draw_image(0), false_accept_rate=0.05)


@pytest.mark.parametrize("operation", ["verify", "identify"])
def test_a_release_without_thresholds_cannot_accept_or_refuse(bare, operation):
    with pytest.raises(Conflict, match="no thresholds"):
        ask(bare, operation, *[draw_image(0)] * OPERATIONS[operation].images)


def test_a_batch_of_all_operations_takes_one_pass_and_bad_queries_fail_alone(engine, monkeypatch):
    passes = []
    forward = Retriever.forward
    monkeypatch.setattr(Retriever, "forward", lambda self, images: passes.append(len(images)) or forward(self, images))
    image = draw_image(5)
    queries = [
        make_query("search", [image], {"k": 2}),
        make_query("embed", [b"no image"]),
        make_query("verify", [image, draw_image(6)]),
        make_query("search", [image], {"label": "no such class"}),
        make_query("identify", [image]),
        make_query("search", [image], {"k": 3, "label": "class 1"}),
        make_query("embed", [image]),
    ]
    answers = engine.answers(queries)
    assert passes == [6]
    assert [isinstance(answer, GlocalError) for answer in answers] == [False, True, False, True, False, False, False]
    alone = [engine.answer(query) for query, answer in zip(queries, answers, strict=True) if not isinstance(answer, GlocalError)]
    for together, one in zip([answer for answer in answers if not isinstance(answer, GlocalError)], alone, strict=True):
        assert together.keys() == one.keys()
        assert rounded(together) == rounded(one)


def rounded(answer):
    """An answer without the last digits, in which a batch differs from a single image."""
    if isinstance(answer, dict):
        return {name: rounded(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [rounded(value) for value in answer]
    return pytest.approx(answer, abs=1e-3) if isinstance(answer, float) else answer


def test_an_unknown_operation_is_not_found():
    with pytest.raises(NotFound, match="Operations: embed, search"):
        make_query("guess", [b""])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_images_is_refused(count):
    with pytest.raises(InvalidInput, match=f"verify needs 2 images, not {count}"):
        make_query("verify", [b""] * count)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 0}, "'k' of search"),
        ({"K": 3}, "no option 'K'"),
        ({"k": "many"}, "'k' of search"),
        ({"label": "x" * 301}, "'label'"),
    ],
)
def test_options_that_are_not_valid_are_named(options, said):
    with pytest.raises(InvalidInput, match=said):
        make_query("search", [b""], options)


def test_an_empty_gallery_finds_nothing_and_knows_nothing(release, tmp_path):
    parts = shutil.copytree(release.folder, tmp_path / "parts")
    stored = release.gallery
    empty = LocalGallery(stored.vectors[:0], Entries.of(stored.labels[:0], [], ()))
    empty.save(parts / "gallery", release.embedding_space_id)
    engine = Engine(reseal(parts, tmp_path / "release").folder)
    assert ask(engine, "search", draw_image(0))["neighbours"] == []
    answer = ask(engine, "identify", draw_image(0))
    assert (answer["known"], answer["label"], answer["best"], answer["margin"]) == (False, "unknown", None, None)


def test_an_enrolled_object_is_found_in_a_scene_with_its_box(engine):
    answer = ask(engine, "detect", to_png(scene((thing("jar"), 60, 80))))
    (found,) = [each for each in answer["objects"] if each["score"] == max(one["score"] for one in answer["objects"])]
    assert found["label"] == "jar"
    assert found["box"] == pytest.approx([60, 80, 156, 176], abs=12)
    assert answer["calibrated"] is False
    assert ask(engine, "detect", to_png(scene((thing("jar"), 60, 80))), min_score=1.0)["objects"] == []


def test_a_scene_without_keypoints_has_no_objects(engine):
    assert ask(engine, "detect", to_png(scene()))["objects"] == []


def test_a_release_without_enrolled_objects_does_not_detect(bare):
    with pytest.raises(Conflict, match="no objects were enrolled"):
        ask(bare, "detect", draw_image(0))
