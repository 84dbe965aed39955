"""Real MLflow on SQLite: versions, evidence, aliases, the ledger, the record of runs."""

import subprocess
import sys

import pytest
from mlflow import MlflowClient

from model.errors import InvalidInput, NotFound
from model.files import sha256_folder
from model.release import open_release
from serving.registry.models import Registry
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
    versions = [
        registry.register(release.folder, evidence, "run", card=card) for release, card in zip(releases, CARDS, strict=True)
    ]
    assert versions == ["1", "2", "3"]
    return registry


def test_the_same_release_keeps_its_version(registry, releases):
    assert registry.register(releases[1].folder, {"recall_at_1": 0.9}) == "2"
    assert [row["version"] for row in registry.versions()] == ["3", "2", "1"]


def test_evidence_stands_beside_a_version(registry, releases):
    assert registry.tags("1") == {
        "recall_at_1": "0.5",
        "note": "n",
        "release": releases[0].id,
        "embedding_space_id": releases[0].embedding_space_id,
        "data_md5": "d" * 32,
        "data_rev": "0" * 40,
        "code_revision": "test",
        "run_id": "run",
    }


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
    registry.describe("3", card)
    found = MlflowClient(uri).get_model_version("glocal", "3")
    assert found.description == card
    assert MlflowClient(uri).get_model_version("glocal", "1").description == CARDS[0]
    with pytest.raises(NotFound):
        registry.describe("9", card)


def test_what_was_registered_comes_back_byte_for_byte(registry, releases, tmp_path):
    out = registry.fetch("1", tmp_path / "out")
    assert sha256_folder(out) == sha256_folder(releases[0].folder)


def test_artifacts_lie_beside_the_store_and_hold_no_pickle(registry, home):
    stored = [path for path in (home / "mlartifacts").rglob("*") if path.is_file()]
    assert any(path.name == "weights.safetensors" for path in stored)
    assert not [path for path in stored if path.suffix in {".pkl", ".pickle", ".pth", ".pt"}]


def test_what_was_changed_in_the_store_is_refused(registry, home, tmp_path):
    stored = (home / "mlartifacts").rglob("weights.safetensors")
    (weights,) = [path for path in stored if open_release(path.parent).id == registry.tags("3")["release"]]
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + b"\x00\x01"[good[-1] == 0 :][:1])
    try:
        with pytest.raises(InvalidInput, match="was changed"):
            registry.fetch("3", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    finally:
        weights.write_bytes(good)


def test_a_damaged_release_is_not_registered(registry, releases, tmp_path):
    import shutil

    folder = shutil.copytree(releases[0].folder, tmp_path / "release")
    (folder / "config.json").unlink()
    with pytest.raises(InvalidInput, match="misses config"):
        registry.register(folder, {})
    assert len(registry.versions()) == 3


def test_an_unknown_version_or_alias_is_named(registry, tmp_path):
    for ask in (
        registry.tags,
        lambda version: registry.fetch(version, tmp_path / "x"),
        lambda v: registry.promote(v, by="x", why="y"),
    ):
        for version in ("99", "x", "../1"):
            with pytest.raises(NotFound, match="There is no version"):
                ask(version)
    with pytest.raises(InvalidInput, match="no alias"):
        registry.set_alias("1", "production")


def test_promotions_move_aliases_and_are_written_down_and_a_failed_one_moves_nothing(registry):
    aliases = lambda: [registry.alias(name) for name in ("challenger", "champion", "previous")]  # noqa: E731
    assert aliases() == [None, None, None]
    registry.set_alias("1", "challenger")
    registry.promote("1", by="ann", why="first")
    assert aliases() == [None, "1", None]
    registry.set_alias("2", "challenger")
    registry.promote("2", by="ann", why="better")
    assert aliases() == [None, "2", "1"]
    registry.set_alias("3", "challenger")
    registry.promote("3", by="bob", why="golden query 1.png", outcome="failed")
    assert aliases() == ["3", "2", "1"]
    registry.promote("1", by="bob", why="2 is worse", outcome="rolled back")
    assert aliases() == ["3", "1", "2"]
    registry.promote("1", by="bob", why="again")
    assert aliases() == ["3", "1", "2"]
    ledger = [(row["by"], row["from"], row["to"], row["why"], row["outcome"]) for row in registry.promotions()]
    assert ledger == [
        ("bob", "1", "1", "again", "promoted"),
        ("bob", "2", "1", "2 is worse", "rolled back"),
        ("bob", "2", "3", "golden query 1.png", "failed"),
        ("ann", "1", "2", "better", "promoted"),
        ("ann", "", "1", "first", "promoted"),
    ]
    assert [row["when"] for row in registry.promotions()] == sorted((row["when"] for row in registry.promotions()), reverse=True)


def test_mlflow_itself_can_load_and_ask_a_version(registry, uri, releases, tmp_path):
    import json

    import mlflow

    (tmp_path / "image.png").write_bytes(draw_image(100))
    mlflow.set_tracking_uri(uri)
    (answer,) = mlflow.pyfunc.load_model("models:/glocal/1").predict([str(tmp_path / "image.png")])
    assert json.loads(answer)["release"] == releases[0].id
