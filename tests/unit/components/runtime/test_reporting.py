"""What people find in the folder of a run: the report, complete as far as it is known."""

import shutil

import numpy as np
import pytest

from components.runtime.reporting import show_decision, show_report
from components.runtime.step import Step
from model.environment import Environment
from model.files import sha256_folder
from model.schemas.decision import Decision, RuleResult
from model.schemas.illustrations import Illustrations
from tests.support.reports import MOMENT, make_queries, make_report


@pytest.fixture
def report(tmp_path):
    """The folder that `evaluate` leaves, without the page, which is rendered anew."""
    folder = tmp_path / "report"
    make_queries([1.0], np.zeros(1)).save(folder / "candidate.npz")
    Illustrations(sheets=()).save(folder / "illustrations.json")
    make_report().save(folder / "report.json")
    return folder


@pytest.fixture
def current(tmp_path):
    return Step("gate", Environment(home=tmp_path / "home", run_folder=tmp_path / "run"))


def decided(passed=True):
    rule = RuleResult(name="max_size_mb", held=passed, figure=1.0, threshold=2.0, text="The release takes 1.0 MB.")
    return Decision(made_at=MOMENT, release="r" * 16, passed=passed, champion=None, queries=1, rules=(rule,))


def test_the_page_of_the_run_grows_with_what_is_known_and_the_artifact_stays(current, report, tmp_path):
    page, card = tmp_path / "run" / "report" / "report.html", tmp_path / "run" / "report" / "model_card.md"
    before = sha256_folder(report)
    show_report(current, report)
    assert "not decided yet" in page.read_text()
    decided().save(tmp_path / "decision" / "decision.json")
    show_decision(current, report, tmp_path / "decision", decided())
    assert '<span class="verdict passed">' in page.read_text()
    assert "not registered yet" in page.read_text()
    assert (tmp_path / "run" / "decision" / "decision.json").is_file()
    show_report(current, report, decision=decided(), version="grains version 1")
    assert "grains version 1" in page.read_text()
    assert "| registered | grains version 1 |" in card.read_text()
    assert sha256_folder(report) == before


def test_a_refusal_is_on_the_record_of_the_step_with_its_sentences(current, report, tmp_path):
    decided(passed=False).save(tmp_path / "decision" / "decision.json")
    show_decision(current, report, tmp_path / "decision", decided(passed=False))
    assert current.tags == {"passed": "False", "release": "r" * 16, "refused": "The release takes 1.0 MB."}


def test_what_evaluate_wrote_is_enough_to_render_the_page_without_the_data(current, report, tmp_path):
    shutil.copytree(report, tmp_path / "elsewhere")
    show_report(current, tmp_path / "elsewhere")
    assert (tmp_path / "run" / "report" / "report.html").is_file()
