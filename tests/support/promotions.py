"""Registered releases and what serves, for tests that promote."""

from model.config import ServeConfig
from model.evaluation.report import RECORDED
from model.files import read_json, write_json
from model.release import seal_release
from serving.backends.torchserve import server as torchserve
from serving.client import query
from serving.promotion import promote, register_release
from serving.registry.models import Registry
from tests.support.releases import draw_image, make_parts, make_pin, make_release, reseal


def make_releases(root):
    """Two good releases, and one that does not answer its golden queries."""
    made = [make_release(root / str(seed), seed=seed) for seed in range(2)]
    parts = make_parts(root / "parts", seed=2)
    answers = read_json(parts / "golden" / "answers.json")
    answers[0]["neighbours"][0]["score"] -= 0.1
    write_json(parts / "golden" / "answers.json", answers)
    return [*made, reseal(parts, root / "2")]


def make_release_of(data_name, root, *, seed=0):
    """A release of another data set."""
    parts = make_parts(root / "parts", seed=seed)
    return seal_release(parts, root / "release", pin=make_pin(path=data_name), code_revision="test")


def write_report(folder, release, **changes):
    """A report of which only what the registry reads is there."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = dict.fromkeys(RECORDED, 0.5)
    write_json(folder / "report.json", {**figures, "release": release.id, "data": release.pin.to_json(), **changes})
    (folder / "model_card.md").write_text("# Card\n")
    return folder


def register(release, home, report, **settings):
    """Register a release with a report on it."""
    write_report(report, release)
    return register_release(release.folder, report, ServeConfig(**settings), tracking_uri=home.tracking_uri)


def to(home, version, name, **options):
    """Promote a version."""
    return promote(version, home=home, tracking_uri=home.tracking_uri, name=name, why="test", by="ann", **options)


def answers(home, name):
    """The version and the release that answer at the endpoint."""
    answer = query(torchserve.status(home).address, name, draw_image(1), 1)
    return answer["model_version"], answer["release"]


def assert_one_truth(home, name, version, release):
    """Served, on record and champion are one version, the endpoint names its release, and nothing else is there."""
    status, deployed = torchserve.status(home), read_json(home.serve.deployed)[name]
    assert answers(home, name) == (version, release.id)
    assert (deployed["version"], deployed["release"]) == (version, release.id)
    assert Registry(home.tracking_uri, name).alias("champion") == version
    assert [each.version for each in status.models[name].versions] == [version]
    stored = sorted(path.name for path in home.serve.store.iterdir() if path.name.startswith((name, ".")))
    assert stored == [f"{name}-{version}.mar", f"{name}-{version}.mar.sha256"]
