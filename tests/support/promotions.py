"""Registered releases and what serves, for tests that promote."""

from model.config import ServeConfig
from model.files import read_json, write_json
from model.release import seal_release
from model.schemas.decision import Decision, RuleResult
from serving import server
from serving.local import local_client
from serving.promotion import promote, register_release
from serving.registry.models import Registry
from tests.support.releases import draw_image, make_parts, make_pin, make_release, reseal
from tests.support.reports import MOMENT, make_report


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


def write_evidence(folder, release, *, approval=None, **changes):
    """A report on a release and a decision that passed it, as `evaluate` and `gate` leave them."""
    make_report(release=release.id, data=release.pin, **changes).save(folder / "report" / "report.json")
    rule = RuleResult(name="max_size_mb", held=True, figure=1.0, threshold=2.0, text="The release takes 1.0 MB: held.")
    decision = Decision(
        made_at=MOMENT, release=release.id, passed=True, champion=None, queries=1, rules=(rule,), approval=approval
    )
    decision.save(folder / "decision" / "decision.json")
    return folder / "report", folder / "decision"


def register(release, home, evidence, **settings):
    """Register a release with a report and a decision on it."""
    return register_release(
        release.folder, *write_evidence(evidence, release), ServeConfig(**settings), tracking_uri=home.tracking_uri
    )


def to(home, version, name, **options):
    """Promote a version."""
    return promote(version, home=home, tracking_uri=home.tracking_uri, name=name, why="test", by="ann", **options)


def said(found):
    """Differences or findings as one text, to search in."""
    return " | ".join(map(str, found))


def answers(home, name):
    """The version and the release that answer at the endpoint."""
    answer = local_client(home.serve).search(draw_image(1), 1, model=name)
    return answer.model_version, answer.release


def assert_one_truth(home, name, version, release):
    """Served, on record and champion are one version, the endpoint names its release, and nothing is loaded beside it.

    Nothing is stored beside its archive and that of the version before.
    """
    status, deployed = server.status(home), read_json(home.serve.deployed)[name]
    assert answers(home, name) == (version, release.id)
    assert (deployed["version"], deployed["release"]) == (version, release.id)
    assert Registry(home.tracking_uri, name).alias("champion") == version
    assert [each.version for each in status.models[name].versions] == [version]
    stored = {path.name for path in home.serve.store.iterdir() if path.name.startswith((name, "."))}
    archives = [f"{name}-{version}.mar", *([deployed["previous"]] if deployed["previous"] else [])]
    assert stored >= {archives[0], f"{archives[0]}.sha256"}
    assert stored <= {each + end for each in archives for end in ("", ".sha256")}
