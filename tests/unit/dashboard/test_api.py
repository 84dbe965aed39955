"""The JSON API, and the command line that asks a dashboard elsewhere."""

import json

import pytest

from dashboard.security.people import Role
from model.environment import Environment
from model.errors import Forbidden, InvalidInput, NotFound, Unauthorized, Unavailable
from model.home import Home
from model.schemas.run_record import RunRecord
from pipelines.actions.action import ACTIONS, API, ask, refuse_elsewhere
from pipelines.actions.corrections import correct
from pipelines.actions.models import list_models, model_of, promote_version, read_history, show_lineage
from pipelines.actions.runs import list_runs, show_run
from pipelines.jobs.data import compare_data, look_for_look_alikes
from serving.gateway.keys import Scope
from serving.processes import bind_port
from serving.registry.runs import Runs
from tests.support.dashboard import Browser, ask_elsewhere, serving_dashboard


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home.at(tmp_path_factory.mktemp("dashboard") / "home")


@pytest.fixture(scope="module")
def environment(home):
    environment = Environment(home=home)
    home.root.mkdir()
    runs = Runs(environment.mlflow_uri)
    runs.close(runs.start_run("a first run", {"train.epochs": 3}), succeeded=True)
    return environment


@pytest.fixture(scope="module")
def address(environment):
    with serving_dashboard(environment) as address:
        yield address


@pytest.fixture
def elsewhere(environment, address, monkeypatch, tmp_path):
    """This process asks the dashboard, with a key of the scope that is named."""

    def shown(scope):
        ask_elsewhere(monkeypatch, environment, address, tmp_path / "nothing here", name=f"a {scope}", scopes=[scope])

    return shown


def test_each_action_has_its_address_in_the_document(environment):
    document = Browser(environment).get(f"{API}/openapi.json").json()
    for each in ACTIONS:
        said = document["paths"][API + each.path][each.method.lower()]
        assert said["operationId"] == each.name
        assert said["description"]


def test_what_changes_something_is_for_operators(environment):
    looking = {compare_data.action, look_for_look_alikes.action}  # which change nothing, but take a while
    changing = [each for each in ACTIONS if each.method != "GET" and each.function not in {*looking, correct}]
    assert all(each.role != "viewer" for each in changing)
    viewer = Browser(environment, Role.VIEWER)
    for each in changing:
        path = API + each.path.replace("{", "").replace("}", "")
        headers = {"Origin": "http://127.0.0.1:8090", "X-CSRF-Token": viewer.csrf}
        assert viewer.client.request(each.method, path, json={}, headers=headers).status_code in {403, 422}, each.name


def test_a_program_reads_what_the_pages_show(environment):
    (run,) = Browser(environment).get(f"{API}/runs").json()
    assert RunRecord.model_validate(run).name == "a first run"
    assert run["state"] == "succeeded"


def test_an_error_of_the_api_is_a_problem_document(environment):
    answer = Browser(environment).get(f"{API}/runs/none")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "There is no run none."


def test_an_action_elsewhere_gives_the_same_as_here(environment, elsewhere):
    elsewhere(Scope.CALLER)
    (run,) = ask(list_runs)
    assert run == Runs(environment.mlflow_uri).runs()[0]
    assert ask(show_run, run_id=run.id) == Runs(environment.mlflow_uri).run(run.id)
    assert ask(list_models) == {}
    assert ask(read_history, model="demo") == []


def test_an_error_elsewhere_is_the_error_here(elsewhere):
    elsewhere(Scope.CALLER)
    with pytest.raises(NotFound, match="no run x"):
        ask(show_run, run_id="x")
    with pytest.raises(InvalidInput, match="No model is registered"):
        model_of("")
    with pytest.raises(Forbidden, match="operator"):
        ask(promote_version, model="demo", version="1", why="x")
    with pytest.raises(NotFound):
        ask(show_lineage, model="a/../b", version="1")


def test_a_key_that_is_not_known_is_refused_elsewhere(elsewhere, monkeypatch):
    elsewhere(Scope.CALLER)
    monkeypatch.setenv("GLOCAL_KEY", "glocal_00000000_wrong")
    with pytest.raises(Unauthorized):
        ask(list_runs)


def test_a_reason_is_asked_for_elsewhere_too(elsewhere):
    elsewhere(Scope.OPERATOR)
    with pytest.raises(InvalidInput, match="reason"):
        ask(promote_version, model="demo", version="1", why=" ")


def test_no_dashboard_at_the_address_is_said(monkeypatch):
    with bind_port() as free:
        monkeypatch.setenv("GLOCAL_SERVER", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(Unavailable, match="No dashboard answers"):
        ask(list_runs)
    monkeypatch.setenv("GLOCAL_SERVER", "ftp://x")
    with pytest.raises(InvalidInput, match="no address"):
        ask(list_runs)


def test_what_works_on_its_machine_alone_says_so(monkeypatch, tmp_path):
    with pytest.raises(InvalidInput, match="machine of the home alone"):
        refuse_elsewhere(Environment(home=Home.at(tmp_path), server="http://x"), "glocal gc")


def test_the_command_line_asks_the_dashboard(elsewhere, glocal_elsewhere):
    elsewhere(Scope.CALLER)
    code, out, error = glocal_elsewhere("models", "--json")
    assert code == 0
    assert json.loads(out) == {"models": {}}
    code, out, error = glocal_elsewhere("gc")
    assert code == 2
    assert "works on the machine of the home alone" in error


@pytest.fixture
def glocal_elsewhere(capsys, monkeypatch):
    from pipelines import cli

    def run(*words):
        monkeypatch.setattr("sys.argv", ["glocal", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def test_the_page_on_the_api_names_every_address(environment):
    shown = Browser(environment).get("/api").text
    assert all(API + each.path in shown for each in ACTIONS)
