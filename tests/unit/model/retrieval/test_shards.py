"""A gallery that is embedded in shards: the same bits as at once, whoever computes which shard, and when."""

import shutil
from types import SimpleNamespace

import pytest

from model.data.image_batches import BATCH
from model.errors import InvalidInput
from model.files import read_json, write_json
from model.index import build_release, embed_shard
from model.release import LOCAL_FEATURES
from model.retrieval import shards as module
from model.retrieval.shards import Shards
from model.schemas.reranking import Reranking
from model.training.train import train
from tests.support.datasets import draw_scene, make_dataset
from tests.support.killing import kill_at
from tests.support.releases import make_pin
from tests.support.training import MODEL, settings, small_heads

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PIN = make_pin(md5="a" * 32)
RERANKED = {
    **{"tried_ratio": 0.9, "candidates": 10, "queries": 10, "map_at_r_before": 0.5, "map_at_r": 0.6},
    **{"recall_at_1_before": 0.5, "recall_at_1": 0.6, "gain_interval": (0.0, 0.2)},
}
VIEWS = 25
"""Of 8 classes: 200 images, which are three whole batches and one of 8."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), views=VIEWS, draw=lambda *which: draw_scene(*which, size=64))


@pytest.fixture(scope="module", params=["frozen", "finetune"])
def checkpoint(request, dataset, tmp_path_factory):
    """A training of heads over stored maps, or of the trunk too, which re-ranks; and its folder of work files."""
    folder = tmp_path_factory.mktemp(request.param)
    with small_heads():
        train(
            dataset,
            MODEL,
            settings(request.param, epochs=1, rerank="never"),
            data_md5=PIN.md5,
            work=folder / "work",
            out=folder / "out",
        )
    report = read_json(folder / "out" / "training.json")
    report["reranking"] = Reranking(ratio=0.9, **RERANKED).model_dump(mode="json")
    write_json(folder / "out" / "training.json", report)
    return folder / "out", folder / "work"


def build(dataset, checkpoint, out, **options):
    return build_release(dataset, checkpoint[0], out, pin=PIN, code_revision="test", work=checkpoint[1], **options)


def embed(dataset, checkpoint, shard, shards, **options):
    return embed_shard(
        dataset, checkpoint[0], pin=PIN, code_revision="test", work=checkpoint[1], shard=shard, shards=shards, **options
    )


@pytest.fixture(scope="module")
def single(dataset, checkpoint, tmp_path_factory):
    return build(dataset, checkpoint, tmp_path_factory.mktemp("single") / "release")


def bits(release) -> dict[str, str]:
    """The hash of every file of a release."""
    return {name: stored.sha256 for name, stored in release.manifest.files.items()}


def computed(monkeypatch) -> list[int]:
    """The numbers of images of the batches that go through the network from now on."""
    real, seen = module.embedded_batches, []

    def embedded_batches(*arguments, **named):
        for batch in real(*arguments, **named):
            seen.append(len(batch))
            yield batch

    monkeypatch.setattr(module, "embedded_batches", embedded_batches)
    return seen


def test_the_shards_are_whole_batches_that_cover_every_image_once():
    for images in (1, BATCH, 200, 1000):
        for count in (1, 2, 3, 7, 40):
            shards = Shards(SimpleNamespace(images=range(images)), count, None, "")
            rows = [shards.rows(shard) for shard in range(count)]
            assert [row for run in rows for row in range(images)[run]] == list(range(images))
            assert all(run.start % BATCH == 0 for run in rows if run.start < run.stop)
            sizes = [-(-len(range(images)[run]) // BATCH) for run in rows]
            assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [2, 3, 9], ids=lambda count: f"{count} shards")
def test_a_release_of_shards_is_that_of_one_process_bit_for_bit(dataset, checkpoint, single, tmp_path, count, monkeypatch):
    sizes = [embed(dataset, checkpoint, shard, count) for shard in reversed(range(count))]
    assert sum(sizes) == 8 * VIEWS
    seen = computed(monkeypatch)
    release = build(dataset, checkpoint, tmp_path / "release", shards=count)
    assert not seen, "index computes nothing again"
    assert LOCAL_FEATURES in bits(release)
    assert bits(release) == bits(single)
    assert release.id == single.id


def test_index_computes_the_shards_that_are_missing_or_damaged(dataset, checkpoint, single, tmp_path, monkeypatch):
    for shard in range(4):
        embed(dataset, checkpoint, shard, 4)
    (folder,) = {vectors.parent for vectors in checkpoint[1].glob("embeddings/*/vectors-3")}
    shutil.rmtree(folder / "vectors-1")
    (folder / "features-2.safetensors").write_bytes(b"damaged")
    seen = computed(monkeypatch)
    assert bits(build(dataset, checkpoint, tmp_path / "release", shards=4)) == bits(single)
    assert seen == [BATCH], "the images of one shard"


def test_shards_of_other_code_or_data_or_of_another_number_are_not_mixed(dataset, checkpoint, tmp_path):
    embed(dataset, checkpoint, 0, 5)
    first = set(checkpoint[1].glob("embeddings/*"))
    others = {"pin": make_pin(md5="b" * 32)}, {"code_revision": "another"}, {"shards": 6}
    for change in others:
        named = {"pin": PIN, "code_revision": "test", "work": checkpoint[1], "shard": 0, "shards": 5, **change}
        embed_shard(dataset, checkpoint[0], **named)
    assert len(set(checkpoint[1].glob("embeddings/*")) - first) == 3


def test_there_is_no_shard_beyond_the_last(dataset, checkpoint):
    with pytest.raises(InvalidInput, match="no shard 2 of 2"):
        embed(dataset, checkpoint, 2, 2)


KILLED = """
from pathlib import Path
from model.index import embed_shard
from tests.support.releases import make_pin
dataset, checkpoint, work = map(Path, arguments)
embed_shard(dataset, checkpoint, pin=make_pin(md5="a" * 32), code_revision="killed", work=work, shard=0, shards=1)
"""


def test_a_killed_shard_goes_on_after_its_last_flushed_batch(dataset, checkpoint, monkeypatch):
    kill_at("model.data.cache.stored_arrays._fill", 1, "after", KILLED, dataset, *checkpoint)
    seen = computed(monkeypatch)
    named = {"pin": PIN, "code_revision": "killed", "work": checkpoint[1], "shard": 0, "shards": 1}
    assert embed_shard(dataset, checkpoint[0], **named) == 8 * VIEWS
    assert not seen, "all batches were flushed before it was killed"
