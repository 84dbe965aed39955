"""Two data sets run one after the other in one home: two served models, and neither stands in the other's way."""

import json

import pytest

from model.demo.catalogue import draw_catalogue
from model.home import Home
from serving import server
from serving.registry.models import Registry
from tests.support.commands import command, glocal, last_line, run_command

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.long]

SETTINGS = {
    "model.image_size": 64,
    "train.epochs": 1,
    "evaluate.samples": 100,
    "gate.min_gain_over_untrained": -1,  # so few images teach nothing
}
SEEDS = {"first": 3, "second": 11}


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    for name, seed in SEEDS.items():
        draw_catalogue(root / name, products=8, views=4, scenes=1, size=96, seed=seed)
    return {name: root / name for name in SEEDS}


def run(home, catalogues, data, **settings):
    """Run one data set: the exit code, the result, and what was said."""
    code, out, error = glocal(home, run_command(catalogues[data], data, SETTINGS | settings))
    return code, last_line(out), error


def ask(home, image, model):
    code, out, error = glocal(home, command("query", image, "--name", model, "--json"))
    assert code == 0, error
    return json.loads(out)


def an_image(catalogue):
    return min(catalogue.glob("images/*/00.jpg"))


def labels(catalogue):
    return {folder.name for folder in (catalogue / "images").iterdir()}


def serves(home):
    """All that serves and is on record as serving."""
    state = server.status(Home.at(home))
    deployed = json.loads((home / "serve" / "deployed.json").read_text())
    champions = {name: Registry(Home.at(home).tracking_uri, name).alias("champion") for name in SEEDS}
    return state.pid, {name: model.default for name, model in state.models.items()}, deployed, champions


@pytest.fixture(scope="module")
def first(home, catalogues):
    """The run of the first data set, and what its model answers before the second is run."""
    code, body, error = run(home, catalogues, "first")
    assert code == 0, error
    return body, ask(home, an_image(catalogues["first"]), "first")


@pytest.fixture(scope="module")
def second(home, catalogues, first):
    code, body, error = run(home, catalogues, "second")
    assert code == 0, error
    return body


def test_each_data_set_has_a_served_model_of_its_own(first, second, home):
    assert [(body["model"], body["model_version"], body["alias"]) for body in (first[0], second)] == [
        ("first", "1", "champion"),
        ("second", "1", "champion"),
    ]
    assert first[0]["address"] == second["address"]
    _, defaults, _, champions = serves(home)
    assert defaults == champions == {"first": "1", "second": "1"}


def test_each_model_answers_for_its_own_data_with_its_own_release(first, second, home, catalogues):
    assert labels(catalogues["first"]) != labels(catalogues["second"])
    answers = {}
    for name, catalogue in catalogues.items():
        image = an_image(catalogue)
        answers[name] = ask(home, image, name)
        assert answers[name]["neighbours"][0]["label"] == image.parent.name  # the image itself is in the gallery
        assert answers[name]["neighbours"][0]["score"] == pytest.approx(1, abs=2e-3)
        stranger = ask(home, image, next(other for other in SEEDS if other != name))
        assert stranger["neighbours"][0]["score"] < 0.99
    releases = {name: answer["release"] for name, answer in answers.items()}
    assert releases["first"] != releases["second"]
    assert releases == {name: Registry(Home.at(home).tracking_uri, name).version("1").release for name in SEEDS}


def test_the_first_models_answer_is_as_it_was_before_the_second_came(first, second, home, catalogues):
    assert ask(home, an_image(catalogues["first"]), "first") == first[1]


def test_a_query_that_names_no_model_is_told_which_there_are(first, second, home, catalogues):
    code, out, error = glocal(home, command("query", an_image(catalogues["first"])))
    assert (code, out) == (2, "")
    assert error == "Error: Several models are served.\n  Name one with --name: first, second.\n"


def test_a_run_that_would_replace_a_model_of_other_data_is_refused_and_nothing_that_serves_changes(
    first, second, home, catalogues
):
    before = serves(home)
    code, body, error = run(home, catalogues, "second", **{"serve.name": "first"})
    assert code == 4, error
    assert (body["status"], body["error"]["step"]) == ("failed", "gate")
    pins = {name: f"{name}@{pinned['data']['rev'][:7]}" for name, pinned in (("first", first[0]), ("second", second))}
    said = f"The champion of first is version 1, trained on {pins['first']}; the data here are {pins['second']}."
    assert body["error"]["headline"] == said
    assert "serve.name" in body["error"]["hint"]
    assert said in error
    assert serves(home) == before
    assert ask(home, an_image(catalogues["first"]), "first") == first[1]
