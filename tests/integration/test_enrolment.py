"""New objects in a running endpoint: enrolled by the command line, gated, registered, deployed, found; and removed again."""

import pytest
from mlflow import MlflowClient
from PIL import Image

from model.config import GateConfig, ServeConfig
from model.data.images import to_png
from model.data.importing.pinning import pin_dataset
from model.data.versions.pin import datasets, resolve
from model.errors import Conflict, GlocalError, InvalidInput
from model.files import read_json, write_json
from model.gallery_entries import ids_of
from model.release import open_release, seal_release
from serving.data_uses import uses_of_image
from serving.enrolment import enrol, gate_gallery, register_gallery, remove
from serving.galleries import choose_base, opened_release, serve_config
from serving.lineage import lineage_of
from serving.local import local_client
from serving.promotion import promote_release
from serving.registry.models import Registry
from serving.registry.runs import Runs
from tests.support.commands import command, glocal, last_line
from tests.support.detection import scene
from tests.support.enrolment import GALLERY, draw, serve_shelf, shown
from tests.support.enrolment import SHELF as NAME
from tests.support.promotions import assert_one_truth
from tests.support.releases import make_parts

pytestmark = pytest.mark.integration

STEPS = ["version", "enrol", "gate", "register", "deploy", "smoke-test", "record"]


@pytest.fixture(scope="module")
def base(home, tmp_path_factory):
    """Version 1, which serves."""
    return serve_shelf(home, tmp_path_factory.mktemp("base"))


def run(home, *words, timeout=400):
    code, out, error = glocal(home.root, command("gallery", *words), timeout=timeout)
    return code, last_line(out) if "--json" in words else out, error


def at(home):
    return {"home": home, "tracking_uri": home.tracking_uri}


def identified(home, seed):
    return local_client(home.serve).identify(to_png(shown(seed)), model=NAME)


def detected(home, seed):
    image = scene((shown(seed), 60, 50))
    return {found.label for found in local_client(home.serve).detect(to_png(image), model=NAME).objects}


@pytest.fixture(scope="module")
def beakers(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("source") / "beakers", beaker=(11, 12))


@pytest.fixture(scope="module")
def added(home, base, beakers):
    """`glocal gallery add` of a new object: what was before, and what the command printed."""
    before = identified(home, 11), detected(home, 11)
    return before, run(home, "add", beakers, "--why", "new beakers", "--json")


def test_a_new_object_is_named_once_it_is_enrolled_in_the_running_endpoint(home, base, added):
    (unknown, nothing), (code, body, error) = added
    assert code == 0, error
    assert (unknown.known, unknown.label) == (False, "unknown")
    assert "beaker" not in nothing
    found = identified(home, 11)
    assert (found.label, found.model_version) == ("beaker", "2")
    assert found.embedding_space_id == base.embedding_space_id
    assert "beaker" in detected(home, 11)
    assert identified(home, 1).label == "cup"
    assert body["gallery"]["added"] == {"beaker": 2}
    assert (body["model"], body["model_version"], body["alias"]) == (NAME, "2", "champion")
    assert [step["name"] for step in body["steps"]] == STEPS
    assert "added     2 images: beaker (2)" in error


def test_it_is_a_new_version_of_the_same_space_with_its_lineage_on_record(home, base, added, tmp_path):
    registry = Registry(home.tracking_uri, NAME)
    version = registry.champion()
    assert (version.version, registry.alias("previous"), registry.alias("challenger")) == ("2", "1", None)
    assert version.embedding_space_id == base.embedding_space_id
    assert (version.figures["map_at_r"], version.figures["gallery_images"]) == (0.5, 6)
    release = registry.files.fetch("2", tmp_path / "release")
    assert release.pin == base.pin
    assert [pin.path for pin in release.gallery_pins] == [NAME, "beakers"]
    assert release.calibration == base.calibration
    assert_one_truth(home, NAME, "2", release)
    card = MlflowClient(home.tracking_uri).get_model_version(NAME, "2").description
    assert "Gallery of shelf version 1, changed" in card
    assert "2 of the 2 golden queries" in card or "golden queries whose object stays" in card


def test_run_and_promotion_are_on_record(home, added):
    _, (_, body, _) = added
    record = Runs(home.tracking_uri).run(body["run_id"])
    assert (record.kind, record.state, record.why) == ("enrolment", "succeeded", "new beakers")
    assert (record.data.path, record.model_version) == ("beakers", "2")
    assert [step.name for step in record.steps] == STEPS
    client = MlflowClient(home.tracking_uri)
    ledger = client.search_runs([client.get_experiment_by_name("glocal-promotions").experiment_id])
    entry = next(run.data.tags for run in ledger if run.data.tags["to"] == "2")
    assert (entry["why"], entry["outcome"], entry["from"]) == ("new beakers", "promoted", "1")


def test_its_lineage_names_the_base_what_was_added_the_gate_and_that_it_serves(home, added, beakers):
    found = lineage_of(home, home.tracking_uri, NAME, "2")
    assert (found.serves, found.version.base_version, found.change.added) == (True, "1", {"beaker": 2})
    assert (found.run.kind, found.run.why) == ("enrolment", "new beakers")
    assert "same_space" in [rule.name for rule in found.decision.rules]
    assert [(entry.before, entry.outcome) for entry in found.promotions] == [("1", "promoted")]
    (use,) = uses_of_image(home, home.tracking_uri, beakers / "beaker" / "11.png").uses
    assert (use.version, use.serves, use.trained, use.gallery) == ("2", True, False, True)


def test_the_same_images_again_change_nothing(home, added, beakers):
    code, body, error = run(home, "add", beakers, "--json")
    assert code == 0
    assert (body["model_version"], body["gallery"]["release"]) == (None, None)
    assert len(body["gallery"]["copies"]) == 2
    assert "there is nothing to do" in error
    assert "is in the gallery already" in error
    assert Registry(home.tracking_uri, NAME).alias("champion") == "2"


def test_the_same_object_under_two_names_is_refused_and_both_are_named(home, added, tmp_path):
    source = tmp_path / "goblets"
    for seed in (1, 2):
        file = source / "goblet" / f"{seed}.webp"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = shown(seed).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, lossless=True)  # the pixels of cups in other bytes
    code, body, error = run(home, "add", source, "--dry-run", "--json")
    assert (code, body["dry_run"], body["decision"]["passed"]) == (6, True, False)
    assert "goblet as cup (2 of 2 images)" in error
    start = choose_base(home.tracking_uri)
    pin = pin_dataset(source, None, home.data, GALLERY).pin
    enrol(pin, start, tmp_path / "made", replace=False, code_revision="test", **at(home))
    decision = gate_gallery(tmp_path / "made", start, GateConfig(), tmp_path / "decision", **at(home))
    assert [rule.name for rule in decision.rules if not rule.held] == ["max_collisions"]
    with pytest.raises(Conflict, match="The gate refused"):
        register_gallery(tmp_path / "made", tmp_path / "decision", start, tracking_uri=home.tracking_uri)
    lenient = GateConfig(max_collisions=0.5)
    assert gate_gallery(tmp_path / "made", start, lenient, tmp_path / "decision", **at(home)).passed


def test_a_dry_run_says_what_would_be_done_and_keeps_nothing(home, added, tmp_path):
    source = draw(tmp_path / "plates", plate=(21, 22))
    code, body, error = run(home, "add", source, "--dry-run", "--json")
    assert (code, body["gallery"]["added"], body["decision"]["passed"]) == (0, {"plate": 2}, True)
    assert "nothing was changed" in error
    assert Registry(home.tracking_uri, NAME).alias("champion") == "2"
    assert "plates" not in [pin.path for pin in datasets(home.data)]


def test_galleries_are_listed_and_compared(home, added):
    code, body, _ = run(home, "list", "--json")
    assert (code, body["labels"], body["version"]) == (0, {"beaker": 2, "cup": 2, "jar": 2}, "2")
    with opened_release(home.tracking_uri, NAME, "2") as (_, release):
        assert [each.partition("/")[2] for each in ids_of(release.gallery, "beaker")] == ["beaker/11.png", "beaker/12.png"]
    code, body, _ = run(home, "diff", "1", "2", "--json")
    assert (body["labels_added"], body["labels_removed"], body["removed"]) == (["beaker"], [], {})
    assert (body["same_space"], body["same_thresholds"], len(body["added"]["beaker"])) == (True, True, 2)


def test_a_release_that_fails_a_golden_query_is_not_put_to_use(home, added, tmp_path):
    start = choose_base(home.tracking_uri)
    pin = pin_dataset(draw(tmp_path / "bowls", bowl=(31, 32)), None, home.data, GALLERY).pin
    change = enrol(pin, start, tmp_path / "made", replace=False, code_revision="test", **at(home))
    release = open_release(tmp_path / "made")
    answers = read_json(release.folder / "golden" / "answers.json")
    answers[-1]["neighbours"][0]["score"] -= 0.1
    write_json(release.folder / "golden" / "answers.json", answers)
    broken = seal_release(
        release.folder, tmp_path / "broken", pin=release.pin, gallery=release.gallery_pins, code_revision="test"
    )
    assert change.added == {"bowl": 2}
    assert gate_gallery(broken.folder, start, GateConfig(), tmp_path / "decision", **at(home)).passed
    registered = register_gallery(broken.folder, tmp_path / "decision", start, tracking_uri=home.tracking_uri)
    serve = ServeConfig(name=NAME)
    with pytest.raises(GlocalError, match="does not answer golden query"):
        promote_release(broken.folder, registered.version, serve, **at(home), why="test", instead_of=start.champion)
    registry = Registry(home.tracking_uri, NAME)
    assert registry.alias("champion") == "2"
    assert registry.version(registered.version).aliases == ("challenger",)
    assert identified(home, 11).model_version == "2"


def test_what_was_made_from_an_older_champion_replaces_no_newer_one(home, added, tmp_path):
    stale = choose_base(home.tracking_uri, NAME).model_copy(update={"version": "1", "champion": "1"})
    remove(["jar"], [], stale, tmp_path / "made", code_revision="test", **at(home))
    with pytest.raises(Conflict, match="version 2 is now"):
        gate_gallery(tmp_path / "made", stale, GateConfig(), tmp_path / "decision", **at(home))
    release = open_release(tmp_path / "made")
    version = Registry(home.tracking_uri, NAME).register(release, {})
    with pytest.raises(Conflict, match="version 2 is now"):
        promote_release(release.folder, version, ServeConfig(name=NAME), **at(home), why="test", instead_of="1")
    assert identified(home, 1).model_version == "2"


def test_a_version_of_another_space_gives_no_gallery_to_this_model(home, added, tmp_path):
    parts = make_parts(tmp_path / "parts", seed=1)
    other = seal_release(parts, tmp_path / "other", pin=resolve(home.data, NAME), code_revision="test")
    version = Registry(home.tracking_uri, NAME).register(other, {})
    with pytest.raises(Conflict, match="two embedding spaces"):
        choose_base(home.tracking_uri, NAME, version)


def test_a_removed_object_is_unknown_again(home, added):
    code, body, error = run(home, "remove", "--label", "beaker", "--yes", "--why", "sold out", "--json")
    assert code == 0, error
    assert body["gallery"]["removed"] == {"beaker": 2}
    found = identified(home, 11)
    assert (found.known, found.label, found.model_version) == (False, "unknown", body["model_version"])
    assert "beaker" not in detected(home, 11)
    assert identified(home, 1).label == "cup"
    record = Runs(home.tracking_uri).run(body["run_id"])
    assert (record.kind, [step.name for step in record.steps]) == ("removal", ["remove", *STEPS[2:]])


def test_a_new_gallery_replaces_the_old_one(home, added, tmp_path):
    start = choose_base(home.tracking_uri)
    pin = pin_dataset(draw(tmp_path / "plates", plate=(21, 22)), None, home.data, GALLERY).pin
    change = enrol(pin, start, tmp_path / "made", replace=True, code_revision="test", **at(home))
    assert {"cup", "jar"} <= set(change.removed)
    assert gate_gallery(tmp_path / "made", start, GateConfig(), tmp_path / "decision", **at(home)).passed
    version = register_gallery(tmp_path / "made", tmp_path / "decision", start, tracking_uri=home.tracking_uri).version
    serve = serve_config(home, home.tracking_uri, NAME)
    promote_release(tmp_path / "made", version, serve, **at(home), why="plates", instead_of=start.champion)
    assert identified(home, 21).label == "plate"
    assert not identified(home, 1).known


def test_objects_are_enrolled_from_s3_with_groups_and_a_search_may_be_narrowed_to_one(home, added, tmp_path, bucket):
    source = draw(tmp_path / "saucers", saucer=(41, 42), spoon=(43,))
    lines = ["file,label,group", "saucer/41.png,saucer,crockery", "saucer/42.png,saucer,crockery", "spoon/43.png,spoon,cutlery"]
    (source / "manifest.csv").write_text("\n".join(lines))
    for file in source.rglob("*.*"):
        bucket.upload_file(str(file), "images", f"new/{file.relative_to(source)}")
    before = Registry(home.tracking_uri, NAME).alias("champion")
    code, body, error = run(home, "add", "s3://images/new", "--data-name", "saucers", "--dry-run", "--json")
    assert (code, body["gallery"]["added"]) == (0, {"saucer": 2, "spoon": 1}), error
    assert Registry(home.tracking_uri, NAME).alias("champion") == before
    code, body, error = run(home, "add", "s3://images/new", "--data-name", "saucers", "--json")
    assert (code, body["gallery"]["added"]) == (0, {"saucer": 2, "spoon": 1}), error
    with local_client(home.serve) as client:
        image = to_png(shown(41))

        def labels(**narrowed):
            return {each.label for each in client.search(image, 20, model=NAME, **narrowed).neighbours}

        assert (labels(group="crockery"), labels(group="cutlery")) == ({"saucer"}, {"spoon"})
        assert {"saucer", "spoon"} < labels()  # what was there before is in no group, and found without one
        assert client.identify(image, model=NAME).label == "saucer"
        with pytest.raises(InvalidInput, match="no group 'glass'"):
            labels(group="glass")
    with opened_release(home.tracking_uri, NAME, body["model_version"]) as (_, release):
        (identity,) = ids_of(release.gallery, "spoon")
        assert identity.startswith("saucers@")
        assert len(release.gallery.entries.rows(group="crockery")) == 2


def test_a_prefix_of_s3_that_holds_nothing_is_named_and_changes_nothing(home, added, bucket):
    before = Registry(home.tracking_uri, NAME).alias("champion")
    code, _, error = run(home, "add", "s3://images/nothing")
    assert (code, "s3://images/nothing/ holds no objects" in error) == (3, True), error
    assert Registry(home.tracking_uri, NAME).alias("champion") == before
