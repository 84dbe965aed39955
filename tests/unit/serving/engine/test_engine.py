"""The engine, without a server."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.errors import Conflict, InvalidInput, NotFound, Unavailable
from model.files import read_json, write_json
from model.release import RELEASE_MANIFEST, space_id
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.galleries.stored import load_gallery
from model.retrieval.retriever import Retriever
from model.schemas.gallery_record import IndexPlan
from serving.backends.port import RESPONSE_S
from serving.engine import engine as module
from serving.engine.engine import Engine
from serving.golden import same_neighbours
from serving.operations import OPERATIONS, search
from serving.operations.query import make_query
from tests.support.releases import ENTRIES, draw_image, huge_png, make_parts, make_release, reseal


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("engine") / "release")


@pytest.fixture(scope="module")
def engine(release):
    return Engine(release.folder, version="7")


def test_an_answer_names_its_release_its_space_and_its_version(engine, release):
    answer = engine.search(draw_image(100), 3)
    assert same_neighbours(answer["neighbours"], release.golden[0].neighbours)
    assert (answer["release"], answer["embedding_space_id"]) == (release.id, release.embedding_space_id)
    assert answer["model_version"] == "7"


def test_a_gallery_image_finds_itself_first(engine):
    (first,) = engine.search(draw_image(3), 1)["neighbours"]
    assert first["id"] == "drawn/3.png"
    assert first["label"] == "class 3"
    assert first["score"] == pytest.approx(1, abs=1e-4)


def test_k_beyond_the_gallery_is_clamped_and_k_below_one_is_refused(engine):
    assert len(engine.search(draw_image(0), 10 * ENTRIES)["neighbours"]) == ENTRIES
    with pytest.raises(InvalidInput, match="'k' of search is not valid"):
        engine.search(draw_image(0), 0)


def test_a_query_for_more_neighbours_than_an_answer_may_hold_is_refused_alone(engine, monkeypatch):
    monkeypatch.setattr(search, "MAX_NEIGHBOURS", ENTRIES - 1)
    wanted = ({"k": 10 * ENTRIES}, {"k": ENTRIES - 1}, {"k": 10 * ENTRIES, "label": "class 3"})
    refused, most, few = engine.answers([make_query("search", [draw_image(3)], options) for options in wanted])
    assert isinstance(refused, InvalidInput)
    assert len(most["neighbours"]) == ENTRIES - 1
    assert few["neighbours"][0]["label"] == "class 3"


@pytest.mark.parametrize(
    "data", [b"", b"hello, I am a text", huge_png(), draw_image(0)[:100]], ids=["empty", "text", "bomb", "cut"]
)
def test_bytes_that_are_no_usable_image_are_refused(engine, data):
    with pytest.raises(InvalidInput):
        engine.search(data, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("operation", ["embed", "search"])
def test_an_image_whose_embedding_is_no_unit_vector_is_refused_alone(engine, monkeypatch, operation, bad):
    forward = Retriever.forward

    def spoiled(self, images):
        embedded = forward(self, images)
        return replace(embedded, vectors=np.concatenate([np.full_like(embedded.vectors[:1], bad), embedded.vectors[1:]]))

    monkeypatch.setattr(Retriever, "forward", spoiled)
    refused, answered = engine.answers([make_query(operation, [draw_image(number)]) for number in range(2)])
    assert isinstance(refused, InvalidInput)
    assert "no embedding" in str(refused)
    assert answered["release"] == engine.release.id


def test_where_a_batch_needs_too_much_memory_its_queries_go_alone_and_one_that_needs_too_much_is_to_be_sent_again(
    engine, monkeypatch
):
    forward, sizes = Retriever.forward, []

    def limited(self, images):
        sizes.append(len(images))
        if len(images) > 1 or images[0].shape[1] > 100:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes.")
        return forward(self, images)

    monkeypatch.setattr(Retriever, "forward", limited)
    large, small = engine.answers([make_query("embed", [draw_image(1, size=size)]) for size in (101, 48)])
    assert sizes == [2, 1, 1]
    assert isinstance(large, Unavailable)
    assert large.retry
    assert small["release"] == engine.release.id


def test_images_that_take_too_long_to_decode_leave_no_time_to_those_behind_them(engine, monkeypatch):
    """A server of models kills a worker that does not answer a batch in time, and everybody waits for another one."""
    clock, decode = [0.0], module.decode_image

    def slow(data, limits):
        clock[0] += 0.6 * module.DECODING_S
        return decode(data, limits)

    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "decode_image", slow)
    first, second, late = engine.answers([make_query("embed", [draw_image(number)]) for number in range(3)])
    assert first["release"] == second["release"] == engine.release.id
    assert isinstance(late, Unavailable)
    assert engine.answer(make_query("embed", [draw_image(2)]))["release"] == engine.release.id
    pair = make_query("verify", [draw_image(0), draw_image(1)])
    slow_one, cut_pair = engine.answers([make_query("embed", [draw_image(2)]), pair])
    assert slow_one["release"] == engine.release.id
    assert "too long to decode" in cut_pair.headline


def test_queries_that_take_too_long_to_answer_leave_no_time_to_those_behind_them(engine, monkeypatch):
    """Sixteen scenes of hundreds of objects took a worker from everybody."""
    clock, embed = [0.0], type(OPERATIONS["embed"])
    respond = embed.respond

    def slow(self, *asked):
        clock[0] += 0.6 * module.ANSWERING_S
        return respond(self, *asked)

    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    monkeypatch.setattr(embed, "respond", slow)
    first, second, late = engine.answers([make_query("embed", [draw_image(number)]) for number in range(3)])
    assert first["release"] == second["release"] == engine.release.id
    assert isinstance(late, Unavailable)
    assert late.retry
    assert engine.answer(make_query("embed", [draw_image(2)]))["release"] == engine.release.id
    assert 2 * module.ANSWERING_S > RESPONSE_S > module.ANSWERING_S > module.DECODING_S


def test_a_missing_release_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        Engine(tmp_path)


def test_a_network_that_yields_nan_does_not_start(release, tmp_path):
    parts = make_parts(tmp_path / "parts")
    from safetensors.torch import load_file, save_file

    weights = load_file(parts / "weights.safetensors")
    weights["heads.heads.global.projection.bias"].fill_(torch.nan)
    save_file(weights, parts / "weights.safetensors")
    record = parts / "gallery" / "gallery.json"
    write_json(record, {**read_json(record), "embedding_space_id": space_id(parts)})
    reseal(parts, tmp_path / "release")
    with pytest.raises(InvalidInput, match="not finite"):
        Engine(tmp_path / "release")


def test_a_gallery_of_another_space_does_not_start(tmp_path):
    parts = make_parts(tmp_path / "parts")
    record = parts / "gallery" / "gallery.json"
    write_json(record, {**read_json(record), "embedding_space_id": "0" * 16})
    reseal(parts, tmp_path / "release")
    with pytest.raises(Conflict, match="embedding space 0000000000000000"):
        Engine(tmp_path / "release")


def test_a_gallery_of_another_width_does_not_start(tmp_path):
    parts = make_parts(tmp_path / "parts")
    vectors = np.zeros((ENTRIES, 8), np.float32)
    vectors[:, 0] = 1
    stored = load_gallery(parts / "gallery", space_id(parts))
    LocalGallery(vectors, stored.entries).save(parts / "gallery", space_id(parts))
    reseal(parts, tmp_path / "release")
    with pytest.raises(Conflict, match="two embedding spaces"):
        Engine(tmp_path / "release")


def test_a_manifest_that_names_another_space_does_not_start(tmp_path):
    made = make_release(tmp_path / "release")
    write_json(made.folder / RELEASE_MANIFEST, {**read_json(made.folder / RELEASE_MANIFEST), "embedding_space_id": "0" * 16})
    with pytest.raises(Conflict, match="embedding space"):
        Engine(made.folder)


def test_a_config_with_an_unknown_key_does_not_start(tmp_path):
    parts = make_parts(tmp_path / "parts")
    write_json(parts / "config.json", {**read_json(parts / "config.json"), "loader": "os.system"})
    record = parts / "gallery" / "gallery.json"
    write_json(record, {**read_json(record), "embedding_space_id": space_id(parts)})
    with pytest.raises(InvalidInput, match="does not describe a network"):
        Engine(reseal(parts, tmp_path / "release").folder)


def test_a_gallery_whose_server_went_away_makes_its_queries_unavailable_and_no_others(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("GLOCAL_MILVUS_URI", str(tmp_path / "milvus.db"))
    parts = make_parts(tmp_path / "parts")
    stored = load_gallery(parts / "gallery", space_id(parts))
    stored.save(parts / "gallery", space_id(parts), IndexPlan("milvus"))
    engine = Engine(reseal(parts, tmp_path / "release").folder)
    found = engine.search(draw_image(3), 2)["neighbours"]
    assert found[0]["id"] == "drawn/3.png"
    gallery = engine.release.gallery
    gallery.client.drop_collection(gallery.index.collection)
    asked = [("search", draw_image(3)), ("embed", draw_image(3)), ("search", b"no image"), ("identify", draw_image(3))]
    gone, embedded, bad, unknown = engine.answers([make_query(name, [image], {}) for name, image in asked])
    assert isinstance(gone, Unavailable)
    assert isinstance(unknown, Unavailable)
    assert "milvus" not in f"{gone.headline} {gone.hint}".lower()  # a caller is not told where it is
    assert "Milvus at" in caplog.text
    assert len(embedded["embedding"]) == gallery.dimensions
    assert isinstance(bad, InvalidInput)
