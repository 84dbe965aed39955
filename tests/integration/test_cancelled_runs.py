"""A run that was started in a terminal is cancelled from elsewhere, as one of the queue is."""

import subprocess

import pytest

from dashboard.security.people import Role
from model.environment import Environment
from model.home import Home
from pipelines.actions.action import API
from serving.processes import wait_until
from serving.registry.runs import Runs
from tests.support.commands import begin, end, processes, run_command
from tests.support.dashboard import Browser, text
from tests.support.datasets import draw_view

pytestmark = pytest.mark.integration


def test_a_run_of_a_terminal_is_cancelled_through_the_api_and_says_by_whom(tmp_path):
    source, home = tmp_path / "source", Home.at(tmp_path / "home")
    for label in range(5):
        (source / f"class {label}").mkdir(parents=True)
        for view in range(3):
            (source / f"class {label}" / f"{view}.png").write_bytes(draw_view(label, view))
    words = run_command(source, "things", {"train.epochs": 50})
    try:
        run = begin(home.root, words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert wait_until(lambda: next(iter(home.runs.glob("*/events.jsonl")), None), deadline_s=120)
        environment = Environment(home=home)
        (record,) = Runs(environment.mlflow_uri).runs()
        ana = Browser(environment, Role.OPERATOR, "ana")
        headers = {"X-CSRF-Token": ana.csrf, "Origin": "http://127.0.0.1:8090"}
        answer = ana.client.delete(f"{API}/runs/{record.id}", headers=headers)
        assert (answer.status_code, answer.json()["state"]) == (200, "killed")
        _, error = run.communicate(timeout=60)
        assert run.returncode == 143
        assert "ana cancelled this run." in error
        assert "Traceback" not in error
        assert wait_until(lambda: not processes(home.root), deadline_s=30)
        assert "ana cancelled this run." in text(ana.get(f"/runs/{record.id}"))
        again = ana.client.delete(f"{API}/runs/{record.id}", headers=headers)
        assert (again.status_code, "has ended" in again.json()["title"]) == (409, True)
    finally:
        end(home.root)
