"""What a run is asked for."""

import pytest

import pipelines.running
from model.config import RunConfig
from model.schemas.decision import Decision
from pipelines.runners.port import PipelineRun
from pipelines.running import pipeline_arguments
from tests.support.reports import MOMENT, make_report, make_reranking

RULES = {"min_map_at_r": False, "max_latency_ms": True, "max_size_mb": False}
"""Rules of a gate, and whether each held."""


def test_the_pipeline_is_told_every_section_of_the_configuration():
    config = RunConfig()
    arguments = pipeline_arguments("x", "y", config, "because")
    assert arguments == {"source": "x", "name": "y", **config.model_dump(mode="json"), "why": "because", "shards": []}


def test_a_refused_run_names_the_settings_that_were_not_held_and_its_decision(tmp_path):
    assert pipelines.running._decision(tmp_path) == {}
    rules = [{"name": name, "held": held, "figure": 0, "threshold": 1, "text": "."} for name, held in RULES.items()]
    stated = {"made_at": MOMENT, "release": "r", "passed": False, "champion": None, "queries": 3, "rules": rules}
    file = tmp_path / "decision" / "decision.json"
    Decision.model_validate(stated).save(file)
    found = pipelines.running._decision(tmp_path)
    assert found == {"refused_rules": ("gate.min_map_at_r", "gate.max_size_mb"), "decision": str(file)}


@pytest.mark.parametrize("reranking", [None, make_reranking()], ids=["global search", "re-ranked"])
def test_the_result_has_what_re_ranking_gains(tmp_path, reranking):
    assert pipelines.running._report(tmp_path) is None
    make_report(reranking=reranking).save(tmp_path / "report" / "report.json")
    found = pipelines.running._report(tmp_path)["reranking"]
    assert found == (reranking and reranking.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("number", "headline", "hint"),
    [
        (9, "It was killed by signal 9.", "Memory is the usual reason"),
        (15, "It was killed by signal 15.", "The same command resumes."),
        (0, "The pipeline stopped.", "The log says why."),
    ],
)
def test_a_run_that_was_killed_says_by_which_signal_and_at_which_step(tmp_path, number, headline, hint):
    (tmp_path / "train.log").touch()
    error = pipelines.running._error(PipelineRun(tmp_path / "run.log", under_way="train", killed_by=number), tmp_path)
    assert (error.step, error.headline, error.log) == ("train", headline, str(tmp_path / "train.log"))
    assert error.hint.startswith(hint)
    assert pipelines.running._error(PipelineRun(tmp_path / "run.log", killed_by=number), tmp_path).step == "pipeline"
