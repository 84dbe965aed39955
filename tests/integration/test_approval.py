"""Versions that people must approve before they serve, with a real registry, ledger and endpoint."""

import shutil

import pytest

from model.config import ServeConfig
from model.errors import Conflict, Forbidden, InvalidInput
from model.schemas.approval import ApprovalRule
from model.schemas.run_record import RunRecord
from serving.approval import give_word, read_approval, refuse_unapproved
from serving.deployment import ModelRecords
from serving.gateway.keys import Scope, create_key
from serving.history import history_faults, read_history
from serving.promotion import register_release
from serving.reconcile import start_server
from serving.registry.runs import Runs
from tests.support.commands import command, glocal, last_line
from tests.support.promotions import answers, assert_one_truth, make_release_of, to, write_evidence
from tests.support.releases import make_release
from tests.support.reports import MOMENT

pytestmark = pytest.mark.integration

NAME = "drawn"


@pytest.fixture
def await_approval(home, releases, tmp_path):
    """Register a release that needs approval; returns its records and its version."""

    def register(seed, *, approvers=2, own=False, run_id="1"):
        release = make_release(tmp_path / "release", seed=seed)
        rule = ApprovalRule(approvers=approvers, own=own)
        evidence = write_evidence(tmp_path, release, approval=rule)
        registered = register_release(
            release.folder,
            *evidence,
            ServeConfig(name=NAME),
            tracking_uri=home.tracking_uri,
            run=RunRecord(state="running", started=MOMENT, id=run_id, name="a run", user="ann"),
        )
        model = ModelRecords.open(home, home.tracking_uri, NAME)
        return model, registered

    return register


def say(model, version, word, by, why="seen"):
    return give_word(model.registry, model.ledger, version.version, word, by=by, why=why)


def test_it_serves_once_as_many_different_operators_as_it_needs_have_approved_it(home, first, releases, await_approval):
    model, version = await_approval(11)
    with pytest.raises(Conflict, match=f"drawn version {version.version} needs the approval of 2"):
        to(home, version.version, NAME)
    assert not say(model, version, "approved", "bob").may_serve
    assert say(model, version, "approved", "bob").missing == 1  # the same operator counts once
    with pytest.raises(Conflict, match="and has that of bob"):
        to(home, version.version, NAME)
    assert answers(home, NAME) == ("1", releases[0].id)
    assert say(model, version, "approved", "eve").may_serve
    to(home, version.version, NAME)
    assert answers(home, NAME) == (version.version, version.release)
    words = [(entry.by, entry.outcome) for entry in read_history(home.tracking_uri, name=NAME) if entry.evidence]
    assert words[-3:] == [("bob", "approved"), ("bob", "approved"), ("eve", "approved")]
    assert history_faults(home, home.tracking_uri) == []


def test_who_started_the_run_approves_it_only_where_a_setting_says_so(first, await_approval):
    model, version = await_approval(12, approvers=1)
    with pytest.raises(Forbidden, match="ann started the run"):
        say(model, version, "approved", "ann")


def test_with_that_setting_one_person_is_enough(first, await_approval):
    model, version = await_approval(13, approvers=1, own=True)
    assert say(model, version, "approved", "ann").may_serve


def test_a_refusal_stands_until_who_said_it_approves(first, await_approval):
    model, version = await_approval(14, approvers=1)
    say(model, version, "refused", "eve", "mixes up the oats")
    assert not say(model, version, "approved", "bob").may_serve
    with pytest.raises(Conflict, match="was refused by eve"):
        refuse_unapproved(model.registry, model.ledger, version)
    assert say(model, version, "approved", "eve").may_serve


def test_who_started_the_run_may_take_a_refusal_back_and_that_is_no_approval(first, await_approval):
    model, version = await_approval(18, approvers=1)
    say(model, version, "refused", "ann")
    taken_back = say(model, version, "approved", "ann")
    assert (taken_back.refused, taken_back.approved, taken_back.missing) == ((), (), 1)


def test_a_run_awaits_approval_until_its_version_has_it(home, first, await_approval):
    runs = Runs(home.tracking_uri)
    run_id = runs.start_run("a run")
    model, version = await_approval(19, approvers=1, run_id=run_id)
    runs.log(run_id, tags={"awaiting_approval": "True"})
    runs.close(run_id, succeeded=True)
    assert [run.id for run in runs.page(5, state="awaiting").runs] == [run_id]
    say(model, version, "refused", "eve")
    assert runs.run(run_id).state == "succeeded"
    say(model, version, "approved", "eve")
    assert runs.page(5, state="awaiting").runs == ()


def test_an_approval_is_void_once_the_report_is_another_one(home, first, await_approval):
    model, version = await_approval(15, approvers=1)
    assert say(model, version, "approved", "bob").may_serve
    files = [each for each in home.root.glob("mlartifacts/**/evidence/report/report.json") if version.release in each.read_text()]
    (report,) = files
    kept = report.read_bytes()
    report.write_bytes(kept.replace(b'"size_mb"', b'"size_mb" '))
    with pytest.raises(Conflict, match="The approval of bob is void"):
        to(home, version.version, NAME)
    with pytest.raises(InvalidInput, match="was changed since it was registered"):
        say(model, version, "approved", "eve")
    report.write_bytes(kept)
    assert read_approval(model.registry, model.ledger, version).may_serve


def test_a_version_that_needs_no_approval_is_told_apart(home, first, registry, releases):
    model = ModelRecords.open(home, home.tracking_uri, NAME)
    assert read_approval(model.registry, model.ledger, registry.version("2")) is None
    with pytest.raises(InvalidInput, match="needs nobody's approval"):
        say(model, registry.version("2"), "approved", "bob")


def test_a_moved_alias_does_not_let_it_serve_either(home, first, releases, await_approval):
    model, version = await_approval(16)
    model.registry.set_alias(version.version, "champion")
    found = start_server(home, home.tracking_uri)
    assert "needs the approval of 2" in " ".join(map(str, (*found.differences, found.fault)))
    assert answers(home, NAME) == ("1", releases[0].id)
    model.registry.set_alias("1", "champion")


def test_operators_approve_by_command_with_keys_of_their_own_and_the_last_one_lets_it_serve(
    home, first, releases, await_approval, monkeypatch
):
    _, version = await_approval(17)
    _, caller = create_key(home.serve, "carl", [Scope.CALLER])
    _, operator = create_key(home.serve, "bob", [Scope.OPERATOR])
    words = ("approve", version.version, "--why", "fine", "--yes", "--json")
    monkeypatch.setenv("GLOCAL_KEY", caller)
    code, _, error = glocal(home.root, command(*words))
    assert (code, "scope operator" in error) == (7, True), error
    monkeypatch.setenv("GLOCAL_KEY", operator)
    code, out, error = glocal(home.root, command(*words))
    assert code == 0, error
    assert (last_line(out)["missing"], last_line(out)["approved"]) == (1, ["bob"])
    monkeypatch.delenv("GLOCAL_KEY")
    monkeypatch.setenv("GLOCAL_USER", "eve")
    code, out, error = glocal(home.root, command(*words))
    assert code == 0, error
    assert_one_truth(home, NAME, version.version, _Released(version.release))
    last = read_history(home.tracking_uri, name=NAME)[-1]
    assert (last.outcome, last.by, last.why) == ("promoted", "eve", "fine (approved by bob, eve)")


def test_an_approval_without_a_question_replaces_a_champion_of_other_data_only_if_that_is_said(
    home, first, releases, tmp_path, monkeypatch
):
    release = make_release_of("cups", tmp_path, seed=19)
    evidence = write_evidence(tmp_path / "evidence", release, approval=ApprovalRule(approvers=1, own=False))
    config = ServeConfig(name=NAME, replace_other_data=True)
    version = register_release(release.folder, *evidence, config, tracking_uri=home.tracking_uri).version
    words = ("approve", version, "--why", "fine", "--yes", "--json")
    monkeypatch.setenv("GLOCAL_USER", "eve")
    entries = len(read_history(home.tracking_uri, name=NAME))
    code, _, error = glocal(home.root, command(*words))
    assert (code, "--replace-other-data for glocal promote and glocal approve" in error) == (4, True), error
    assert len(read_history(home.tracking_uri, name=NAME)) == entries  # nor is the word on record
    assert answers(home, NAME) == ("1", releases[0].id)
    code, _, error = glocal(home.root, command(*words, "--replace-other-data"))
    assert code == 0, error
    assert answers(home, NAME) == (version, release.id)
    to(home, "1", NAME, replace_other_data=True)


class _Released:
    def __init__(self, identity):
        self.id = identity


def test_the_evidence_of_a_version_can_be_fetched(home, registry, releases, tmp_path):
    folder = registry.files.evidence("1", tmp_path / "out")
    assert (folder / "report" / "report.json").is_file()
    assert (folder / "decision" / "decision.json").is_file()
    assert registry.version("1").evidence_sha256 == registry.files.evidence_sha256("1")
    shutil.rmtree(folder)
