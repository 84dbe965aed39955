"""The loop over the shards of a gallery under KFP's local runner, with the real steps: a killed shard is tried again alone."""

import os
from pathlib import Path

import pytest
from kfp import compiler, dsl

from components.index import index as index_step
from components.train import train as train_step
from components.version import version
from model.data.versions.fetch import fetch
from model.home import Home
from model.index import build_release
from model.release import open_release
from model.schemas.data_pin import DataPin
from pipelines.embedding import embedding
from pipelines.runners.local import alive, run_local
from tests.support.datasets import draw_view
from tests.support.trained import small_config
from tests.support.work import make_work

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]
SHARDS = 3
IMAGES = 200
"""Three whole batches and a part of one, so that each shard has one or two."""


@dsl.pipeline(name="sharded")
def sharded(source: str, data: dict, model: dict, train: dict, index: dict, shards: list[int]):
    pin = version(source=source, name="drawn", data=data).output
    checkpoint = train_step(pin=pin, model=model, train=train).outputs["checkpoint"]
    embedded = embedding(pin=pin, checkpoint=checkpoint, index=index, shards=shards)
    index_step(pin=pin, checkpoint=checkpoint, index=index).after(embedded)


KILLING = """
import os, sys
if dict(zip(sys.orig_argv, sys.orig_argv[1:])).get("--function_to_execute") == "embed":
    import model.index
    real, mark = model.index.embed_shard, {mark!r}
    def embed_shard(*arguments, **named):
        if named["shard"] == 1 and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), 9)
        return real(*arguments, **named)
    model.index.embed_shard = embed_shard
"""
"""A module that every Python process of a run imports at its start: the step of shard 1 is killed, once."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        label, view = number % 10, number // 10
        (folder / f"class {label}").mkdir(exist_ok=True)
        (folder / f"class {label}" / f"{view}.png").write_bytes(draw_view(label, view))
    return folder


@pytest.fixture(scope="module")
def run(source, tmp_path_factory):
    """A function that runs the pipeline: the run, its events, and the release."""
    root = tmp_path_factory.mktemp("run")
    home = Home.at(root / "home")
    compiler.Compiler().compile(sharded, str(root / "pipeline.yaml"))
    config = small_config().model_copy(update={"index": small_config().index.model_copy(update={"shards": SHARDS})})
    sections = config.model_dump(mode="json", include={"data", "model", "train", "index"})
    (root / "sitecustomize.py").write_text(KILLING.format(mark=str(root / "killed")))
    paths = os.pathsep.join([str(root), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])

    def again(number):
        folder, events = root / f"run-{number}", []
        folder.mkdir()
        variables = {"GLOCAL_HOME": str(home.root), "GLOCAL_RUN_FOLDER": str(folder), "PYTHONPATH": paths}
        given = {"source": str(source), "shards": list(range(SHARDS)), **sections}
        work = make_work(root / "pipeline.yaml", given, folder, home, variables=variables)
        with alive(folder):
            done = run_local(work, events.append)
        assert done.succeeded, done.log.read_text()[-4000:]
        return events, home

    return again


@pytest.fixture(scope="module")
def first(run):
    return run(1)


def kinds(events, step):
    return [event.event for event in events if event.step == step and event.event in {"started", "finished", "failed", "cached"}]


def test_a_killed_shard_is_tried_again_alone(first):
    events, _ = first
    assert kinds(events, "embed-0") == ["started", "finished"]
    assert kinds(events, "embed-1") == ["started", "started", "finished"]
    assert kinds(events, "embed-2") == ["started", "finished"]
    assert kinds(events, "index") == ["started", "finished"]
    last = max(number for number, event in enumerate(events) if event.step.startswith("embed") and event.event == "finished")
    assert last < next(number for number, event in enumerate(events) if event.step == "index")


def test_the_release_is_that_of_one_process_bit_for_bit(first, tmp_path):
    _, home = first
    (sealed,) = home.artifacts.glob("*/index/release")
    (checkpoint,) = home.artifacts.glob("*/train/checkpoint")
    release = open_release(sealed)
    pin: DataPin = release.manifest.data
    single = build_release(fetch(pin, home.data, home.datasets), checkpoint, tmp_path / "release", pin=pin, code_revision="test")
    assert len(release.gallery) == IMAGES
    assert {name: stored.sha256 for name, stored in single.manifest.files.items()} == {
        name: stored.sha256 for name, stored in release.manifest.files.items()
    }


def test_run_again_each_shard_comes_from_the_cache_by_its_name(first, run):
    events, _ = run(2)
    for step in ("train", "embed-0", "embed-1", "embed-2", "index"):
        assert kinds(events, step) == ["cached"]
