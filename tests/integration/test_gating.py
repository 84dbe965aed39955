"""The gate with a real registry and real models: which evidence it takes, and which it refuses."""

import json
import shutil

import pytest

from model.claim import claim
from model.config import EvaluateConfig, GateConfig, ModelConfig, ServeConfig, TrainConfig
from model.data.versions.integrity import folder_md5, table_hash
from model.errors import Conflict, InvalidInput
from model.evaluation.evaluate import evaluate_release
from model.files import write_json
from model.home import Home
from model.index import build_release
from model.release import open_release
from model.schemas.comparison import Comparison
from model.schemas.decision import ComparedChampion, Decision
from model.training.train import train
from serving.gating import gate_release
from serving.registry.models import Registry
from tests.support.datasets import make_dataset
from tests.support.releases import make_pin

pytestmark = pytest.mark.integration

MODEL = ModelConfig(trunk="test_efficientnet", weights="none", image_size=32)
LENIENT = GateConfig(min_gain_over_untrained=-1, max_regression=1, max_group_regression=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home.at(tmp_path_factory.mktemp("home"))
    claim(home)
    return home


@pytest.fixture(scope="module")
def pin(home):
    """A data set that was fetched before."""
    folder = make_dataset(home.datasets / "new")
    md5 = folder_md5(folder)
    folder = folder.rename(home.datasets / md5)
    write_json(home.datasets / f"{md5}.json", {"table": table_hash(folder)})
    return make_pin(path="drawn", md5=md5)


def released(home, pin, out, seed):
    """A release and its checkpoint."""
    data = home.datasets / pin.md5
    config = TrainConfig(epochs=1, classes_per_batch=4, images_per_class=2, device="cpu", workers=0, seed=seed, init="random")
    train(data, MODEL, config, data_md5=pin.md5, work=home.work, out=out / "checkpoint")
    return build_release(data, out / "checkpoint", out / "release", pin=pin, code_revision="test", work=home.work), config


@pytest.fixture(scope="module")
def candidate(home, pin, tmp_path_factory):
    """The folder with `release` and `report` of a candidate."""
    out = tmp_path_factory.mktemp("candidate")
    _, config = released(home, pin, out, seed=0)
    evaluation = EvaluateConfig(samples=100)
    evaluate_release(
        *(out / "release", out / "checkpoint", home.datasets / pin.md5, out / "report"),
        **{"md5": pin.md5, "model": MODEL, "training": config, "evaluation": evaluation, "work": home.work},
    )
    return out


@pytest.fixture(scope="module")
def registry(home, pin, tmp_path_factory):
    """A registry in which `drawn` has a champion of the same data, and `other` one of a data set of another name."""
    for name, data in (("drawn", pin), ("other", pin.model_copy(update={"path": "mugs", "rev": "4f2c1ab" + "0" * 33}))):
        release, _ = released(home, data, tmp_path_factory.mktemp(name), seed=1)
        models = Registry(home.tracking_uri, name)
        models.set_alias(models.register(release, {}), "champion")
    return Registry(home.tracking_uri, "drawn")


def gated(home, pin, candidate, out, name, config=LENIENT, **options):
    folders = candidate / "release", candidate / "report"
    serve = ServeConfig(name=name, **options)
    return gate_release(pin, config, serve, *folders, out, tracking_uri=home.tracking_uri, home=home)


def test_without_a_champion_the_decision_is_written_and_names_its_release(home, pin, candidate, tmp_path):
    decision = gated(home, pin, candidate, tmp_path, "fresh")
    assert decision.passed
    assert decision.champion is None
    assert decision.release == open_release(candidate / "release").id
    assert Decision.load(tmp_path / "decision.json") == decision
    assert not (tmp_path / "comparison.json").exists()


def test_the_champion_answers_the_same_queries_and_is_named(home, pin, candidate, registry, tmp_path):
    decision = gated(home, pin, candidate, tmp_path, "drawn")
    assert decision.champion == ComparedChampion(name="drawn", version="1", data="drawn@0000000")
    rules = {rule.name: rule for rule in decision.rules}
    assert "on the same 8 queries" in rules["max_regression"].text
    assert "drawn version 1 trained on drawn@0000000" in rules["max_group_regression"].text


def test_the_queries_won_and_lost_against_the_champion_are_kept_as_images(home, pin, candidate, registry, tmp_path):
    gated(home, pin, candidate, tmp_path, "drawn")
    compared = Comparison.load(tmp_path / "comparison.json")
    assert (compared.before, compared.after) == ("drawn version 1 trained on drawn@0000000", "the candidate")
    assert (compared.queries, len(compared.most_won), len(compared.most_lost)) == (8, compared.won, compared.lost)
    changed = compared.most_won + compared.most_lost
    assert changed, "two trainings of other seeds differ on some query"
    assert all(one.before.query == one.after.query and one.after.query.source for one in changed)


def test_a_champion_of_another_data_set_is_not_replaced_without_a_setting(home, pin, candidate, registry, tmp_path):
    with pytest.raises(Conflict) as caught:
        gated(home, pin, candidate, tmp_path, "other")
    assert caught.value.headline == (
        "The champion of other is version 1, trained on mugs@4f2c1ab; the data here are drawn@0000000."
    )
    assert "serve.replace_other_data=true" in caught.value.hint
    assert not (tmp_path / "decision.json").exists()
    decision = gated(home, pin, candidate, tmp_path, "other", replace_other_data=True)
    assert str(decision.champion) == "other version 1 trained on mugs@4f2c1ab"


def test_a_busy_machine_refuses_no_model_whose_fastest_query_is_within_the_budget(home, pin, candidate, tmp_path):
    work = shutil.copytree(candidate, tmp_path / "candidate")
    report = json.loads((work / "report" / "report.json").read_text())
    report["latency"] |= {"median_ms": 9000.0, "fastest_ms": 20.0}
    (work / "report" / "report.json").write_text(json.dumps(report))
    assert gated(home, pin, work, tmp_path / "out", "fresh", LENIENT.model_copy(update={"max_latency_ms": 50})).passed
    assert not gated(home, pin, work, tmp_path / "out", "fresh", LENIENT.model_copy(update={"max_latency_ms": 10})).passed


@pytest.mark.parametrize("field", ["code_revision", "data.rev", "data.licence"])
def test_a_release_whose_provenance_was_edited_is_refused(home, pin, candidate, tmp_path, field):
    work = shutil.copytree(candidate, tmp_path / "candidate")
    file = work / "release" / "manifest.json"
    manifest = json.loads(file.read_text())
    inner, _, last = field.rpartition(".")
    (manifest[inner] if inner else manifest)[last] = "f" * 40
    file.write_text(json.dumps(manifest))
    with pytest.raises(InvalidInput, match="its manifest was changed"):
        gated(home, pin, work, tmp_path / "out", "fresh")


def test_a_report_of_other_data_is_refused(home, pin, candidate, tmp_path):
    with pytest.raises(InvalidInput, match="The report is of other data"):
        gated(home, pin.model_copy(update={"md5": "0" * 32}), candidate, tmp_path, "fresh")


@pytest.mark.parametrize("name", ["report.json", "candidate.npz", "untrained.npz"])
def test_damaged_evidence_is_named(home, pin, candidate, tmp_path, name):
    work = shutil.copytree(candidate, tmp_path / "candidate")
    (work / "report" / name).write_bytes(b"PK\x03\x04 {")
    with pytest.raises(InvalidInput, match=name):
        gated(home, pin, work, tmp_path / "out", "fresh")
