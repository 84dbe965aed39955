"""Real MLflow on SQLite: versions, evidence, aliases, the ledger, the record of runs."""

import shutil
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from model.config import ServeConfig
from model.errors import InvalidInput, NotFound
from model.files import sha256_folder
from model.release import open_release
from model.schemas.model_version import ModelVersion
from serving.promotion import register_release
from serving.registry.ledger import Ledger
from serving.registry.models import Registry, champions
from tests.support.promotions import write_evidence
from tests.support.records import promotions
from tests.support.releases import draw_image, make_release

pytestmark = pytest.mark.integration

CARDS = ["# Model card\n\n- For oats.\n", "# Model card\n\n" + "- Not for rye, nor for \u00e4pfel.\n" * 300, ""]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def uri(home):
    """A fresh store, opened by two processes at once."""
    uri = f"sqlite:///{home}/mlflow.db"
    code = f"from serving.registry.runs import Runs; print(Runs({uri!r}).start_run('race'))"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert len({out.strip() for out, _ in said}) == 2
    assert [error for _, error in said] == ["", ""]
    return uri


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    return [make_release(root / str(seed), seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def registry(uri, releases):
    registry = Registry(uri, "glocal")
    evidence = {"recall_at_1": 0.5, "note": "n"}
    versions = [registry.register(release, evidence, "run", card=card) for release, card in zip(releases, CARDS, strict=True)]
    assert versions == ["1", "2", "3"]
    return registry


def versions(uri):
    return sorted(str(row.version) for row in MlflowClient(uri).search_model_versions("name = 'glocal'"))


def test_the_same_release_keeps_its_version(uri, registry, releases):
    assert registry.register(releases[1], {"recall_at_1": 0.9}) == "2"
    assert versions(uri) == ["1", "2", "3"]


def test_a_version_tells_its_release_its_data_and_its_figures(registry, releases):
    found = registry.version("1")
    assert found == ModelVersion(
        model="glocal",
        version="1",
        created=found.created,
        release=releases[0].id,
        embedding_space_id=releases[0].embedding_space_id,
        data_name="drawn",
        data_md5="d" * 32,
        data_rev="0" * 40,
        code_revision="test",
        figures={"recall_at_1": 0.5},
        run_id="run",
        signed=False,
    )
    assert registry.data_name(found) == "drawn"


def test_the_data_of_a_version_of_before_is_read_from_its_release(registry):
    assert registry.data_name(registry.version("1").model_copy(update={"data_name": ""})) == "drawn"


def test_the_model_card_is_a_versions_description_and_lies_whole_beside_the_release(registry, uri, home):
    described = [MlflowClient(uri).get_model_version("glocal", version).description for version in ("1", "2", "3")]
    assert described[0] == CARDS[0]
    assert 4900 < len(described[1]) <= 5000
    assert described[1].splitlines()[-3] == "- Not for rye, nor for \u00e4pfel."
    assert "The whole card is model_card.md" in described[1]
    assert not described[2]
    assert {card.read_text() for card in (home / "mlartifacts").rglob("model_card.md")} == set(CARDS[:2])


def test_a_version_may_be_described_anew(uri, registry, releases):
    card = "# Model card\n\n| registered | glocal version 3 |\n"
    registry.replace_card("3", card)
    found = MlflowClient(uri).get_model_version("glocal", "3")
    assert found.description == card
    assert MlflowClient(uri).get_model_version("glocal", "1").description == CARDS[0]
    with pytest.raises(NotFound):
        registry.replace_card("9", card)


def test_what_was_registered_comes_back_byte_for_byte(registry, releases, tmp_path):
    fetched = registry.files.fetch("1", tmp_path / "out")
    assert fetched.id == releases[0].id
    assert sha256_folder(tmp_path / "out") == sha256_folder(releases[0].folder)


def test_artifacts_lie_beside_the_store_and_hold_no_pickle(registry, home):
    stored = [path for path in (home / "mlartifacts").rglob("*") if path.is_file()]
    assert any(path.name == "weights.safetensors" for path in stored)
    assert not [path for path in stored if path.suffix in {".pkl", ".pickle", ".pth", ".pt"}]


def test_what_was_changed_in_the_store_is_refused(registry, home, tmp_path):
    stored = (home / "mlartifacts").rglob("weights.safetensors")
    (weights,) = [path for path in stored if open_release(path.parent).id == registry.version("3").release]
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + b"\x00\x01"[good[-1] == 0 :][:1])
    try:
        with pytest.raises(InvalidInput, match="was changed"):
            registry.files.fetch("3", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    finally:
        weights.write_bytes(good)


def test_a_damaged_release_is_not_registered(uri, registry, releases, tmp_path):
    folder = shutil.copytree(releases[0].folder, tmp_path / "release")
    (folder / "config.json").unlink()
    with pytest.raises(InvalidInput, match="misses config"):
        register_release(folder, *write_evidence(tmp_path, releases[0]), ServeConfig(name="glocal"), tracking_uri=uri)
    assert versions(uri) == ["1", "2", "3"]


def test_an_unknown_version_or_alias_is_named(registry, tmp_path):
    for ask in (registry.version, lambda version: registry.files.fetch(version, tmp_path / "x")):
        for version in ("99", "x", "../1"):
            with pytest.raises(NotFound, match="There is no version"):
                ask(version)
    with pytest.raises(InvalidInput, match="no alias"):
        registry.set_alias("1", "production")


def test_the_champion_moves_and_says_what_it_was_before(registry):
    def aliases():
        return [registry.alias(name) for name in ("challenger", "champion", "previous")]

    assert aliases() == [None, None, None]
    assert registry.champion() is None
    registry.set_alias("1", "challenger")
    registry.make_champion("1", None)
    assert aliases() == [None, "1", None]
    registry.set_alias("2", "challenger")
    registry.make_champion("2", "1")
    assert aliases() == [None, "2", "1"]
    registry.set_alias("3", "challenger")
    registry.make_champion("1", "2")
    assert aliases() == ["3", "1", "2"]
    registry.make_champion("1", "2")  # once more changes nothing
    assert aliases() == ["3", "1", "2"]
    assert registry.champion().aliases == ("champion",)
    assert champions(registry.tracking_uri) == {"glocal": "1"}


def test_promotions_are_written_down_newest_first(uri, home):
    ledger = Ledger(uri, "glocal", home / "ledger.jsonl")
    first = ledger.begin(by="ann", why="first", before="", version="1", release_id="r1")
    second = ledger.begin(by="bob", why="better", before="1", version="2", release_id="r2", place="here")
    assert [(entry.id, entry.outcome) for entry in ledger.unfinished()] == [(second, "begun"), (first, "begun")]
    ledger.close(first, "promoted")
    ledger.close(second, "failed", why="better: golden query 1.png")
    assert ledger.unfinished() == []
    tags = ("by", "from", "to", "release", "why", "outcome", "place")
    assert [tuple(entry[tag] for tag in tags) for entry in promotions(uri, "glocal")] == [
        ("bob", "1", "2", "r2", "better: golden query 1.png", "failed", "here"),
        ("ann", "", "1", "r1", "first", "promoted", ""),
    ]
    assert promotions(uri, "other") == []


def test_a_registration_that_was_cut_short_leaves_nothing(registry, uri, home, tmp_path):
    before = sorted(path for path in (home / "mlartifacts").rglob("weights.safetensors"))
    release = make_release(tmp_path / "release", seed=7)
    code = f"""
import os
from pathlib import Path
from mlflow import MlflowClient
from model.release import open_release
from serving.registry.models import Registry
MlflowClient.create_model_version = lambda *_, **__: os.kill(os.getpid(), 9)
Registry({uri!r}).register(open_release(Path({str(release.folder)!r})), {{}})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list((home / "mlartifacts").rglob("weights.safetensors"))) == len(before) + 1
    assert registry.remove_unfinished() == 1
    assert registry.remove_unfinished() == 0
    assert sorted(path for path in (home / "mlartifacts").rglob("weights.safetensors")) == before


def test_mlflow_itself_can_load_and_ask_a_version(registry, uri, releases, tmp_path):
    import json

    import mlflow

    (tmp_path / "image.png").write_bytes(draw_image(100))
    mlflow.set_tracking_uri(uri)
    (answer,) = mlflow.pyfunc.load_model("models:/glocal/1").predict([str(tmp_path / "image.png")])
    assert json.loads(answer)["release"] == releases[0].id
