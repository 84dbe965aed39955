"""Requests that the API's document allows, generated: none finds a fault of the dashboard's."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from schemathesis import openapi

from dashboard.app import make_app
from model.environment import Environment
from model.home import Home
from pipelines.actions.action import API
from serving.gateway.keys import Scope, create_key
from serving.registry.runs import Runs
from tests.support.dashboard import ADDRESS
from tests.support.lineage import pin_drawn, register_run, release_on

EXAMPLES = 30
"""Requests of each address."""


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """The application over a home with data, a run and a version, and the header that opens it."""
    root = tmp_path_factory.mktemp("generated")
    home = Home.at(root / "home")
    pin = pin_drawn(home, root)
    register_run(home, release_on(pin, root / "release"), root / "evidence")
    _, secret = create_key(home.serve, "tests", [Scope.CALLER, Scope.OPERATOR])
    environment = Environment(home=home)
    Runs(environment.mlflow_uri)
    return make_app(environment, address=ADDRESS), {"Authorization": f"Bearer {secret}", "Host": "127.0.0.1:8090"}


@pytest.mark.slow
def test_no_generated_request_finds_a_fault_of_the_dashboard(dashboard, monkeypatch):
    app, headers = dashboard
    monkeypatch.setattr("pipelines.queue.worker.ensure_worker", lambda environment: None)
    sent, allowed = Counter(), {503}  # of an endpoint that does not run
    for found in openapi.from_asgi(f"{API}/openapi.json", app, headers=headers).get_all_operations():

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=found.ok().as_strategy())
        def ask(case):
            answer = case.call(headers=headers)
            sent[answer.status_code] += 1
            assert answer.status_code < 500 or answer.status_code in allowed, (case.path, answer.text)

        ask()
    assert sent.total() > 300
    assert sent[200] > 0
