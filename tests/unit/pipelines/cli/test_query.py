import json
import zipfile

import pytest
from PIL import Image

from model.home import Home
from model.schemas.status import ServerStatus
from serving.client import Client
from serving.operations import OPERATIONS
from tests.support.releases import make_release

NAMED = {"release": "r", "embedding_space_id": "s"}
NEIGHBOUR = {"id": "a\u202eb.jpg", "label": "mug\n\x1b[31m", "score": 0.5}
ACCEPTED = {"threshold": 0.4, "false_accept_rate": 0.01, "score": 0.5}
ANSWERS = {
    "search": {"neighbours": [NEIGHBOUR]},
    "identify": {"known": True, "label": "mug", "best": "mug", "runner_up": "cup", "margin": 0.1, **ACCEPTED},
    "verify": {"same": True, **ACCEPTED},
    "detect": {
        "objects": [{"label": "mug", "box": [1, 2, 3, 4], "score": 0.9, "inliers": 8, "exemplar": "m"}],
        "calibrated": True,
    },
    "embed": {"embedding": [0.6, 0.8]},
}
SAID = {
    "identify": "  mug, similarity 0.5000, threshold 0.4000\n  runner-up cup, margin 0.1000\n",
    "verify": "  the same, similarity 0.5000, threshold 0.4000 at 0.01 false accepts\n",
    "detect": "  0.9000  mug  (1 2 3 4), 8 local matches\n",
    "embed": "  2 dimensions: 0.6000 0.8000 ...\n",
}


@pytest.fixture
def answering(monkeypatch):
    """An endpoint that gives the answer it is told to give, and keeps the options of the last call."""
    served = ServerStatus(running=True, state="serving", log="logs", models={"mugs": {"default": "1", "versions": ()}})
    monkeypatch.setattr("serving.server.status", lambda _: served)
    monkeypatch.setattr("serving.local.local_client", lambda _, address="": Client(address or "http://127.0.0.1:9"))

    def answer(operation, **changes):
        given = OPERATIONS[operation].answer.model_validate(ANSWERS[operation] | NAMED | changes)
        asked = {}
        monkeypatch.setattr(Client, operation, lambda *_, **options: asked.update(options) or given)
        return asked

    return answer


def test_what_an_endpoint_answers_reaches_the_terminal_with_escapes(glocal, answering):
    answering("search")
    code, out, _ = glocal("query", "x\u202e.jpg")
    assert (code, out) == (0, "x\\u202e.jpg: release r, space s\n  0.5000  mug\\x0a\\x1b[31m  (a\\u202eb.jpg)\n")
    _, out, _ = glocal("query", "x.jpg", "--json")
    assert json.loads(out)["neighbours"] == [NEIGHBOUR]
    assert out.isascii()


def test_a_re_ranked_neighbour_is_shown_with_its_matches(glocal, answering):
    answering("search", neighbours=[{"id": "a.jpg", "label": "mug", "score": 0.5, "inliers": 7}])
    assert glocal("query", "x.jpg")[1].endswith("  0.5000  mug  (a.jpg), 7 local matches\n")


def test_an_endpoint_elsewhere_is_asked_without_a_look_at_this_home(glocal, answering, monkeypatch):
    asked = answering("search")
    monkeypatch.delattr("serving.server.status")
    monkeypatch.setenv("GLOCAL_ENDPOINT", "http://127.0.0.1:9")
    assert glocal("query", "x.jpg")[0] == 0
    assert asked["model"] == ""
    assert glocal("query", "x.jpg", "--name", "mugs")[0] == 0
    assert asked["model"] == "mugs"


def test_an_endpoint_in_a_container_is_asked_though_its_processes_are_not_seen(glocal, answering, monkeypatch):
    asked = answering("search")
    monkeypatch.setattr("serving.server.status", lambda _: ServerStatus(running=False, state="stopped", log="logs"))
    code, _, error = glocal("query", "x.jpg")
    assert (code, error.splitlines()[0]) == (5, "Error: The endpoint does not run.")
    monkeypatch.setattr(Client, "release", lambda *_: {"model": "mugs"})
    assert glocal("query", "x.jpg")[0] == 0
    assert asked["model"] == "mugs"


@pytest.mark.parametrize("operation", SAID)
def test_every_operation_is_said_in_lines(glocal, answering, operation):
    answering(operation)
    images = ["x.jpg", "y.jpg"] if operation == "verify" else ["x.jpg"]
    code, out, error = glocal("query", *images, "--op", operation)
    assert code == 0, error
    assert out.endswith(SAID[operation])


def test_what_is_unknown_is_said_with_its_best_match(glocal, answering):
    answering("identify", known=False, label="unknown")
    said = "  unknown: the best match is mug, similarity 0.5000, threshold 0.4000\n"
    assert said in glocal("query", "x.jpg", "--op", "identify")[1]


@pytest.mark.parametrize("words", [["x.jpg", "--op", "verify"], ["x.jpg", "y.jpg"], ["x.jpg", "--k", "0"]])
def test_what_cannot_be_asked_is_said_before_anything_is_sent(glocal, words):
    code, out, error = glocal("query", *words)
    assert (code, out) == (2, "")
    assert error.startswith("Error: --")


def test_a_saved_search_asks_for_matches_and_draws_what_was_fetched_for_the_release_that_answered(glocal, answering, tmp_path):
    release = make_release(tmp_path / "release")
    home = Home.at(tmp_path / "home")
    home.serve.store.mkdir(parents=True)
    with zipfile.ZipFile(home.serve.store / "mugs-1.mar", "w") as archive:
        archive.write(release.folder / "manifest.json", "release/manifest.json")
    for md5, colour in (("0" * 32, "red"), (release.pin.md5, "blue")):
        (home.datasets / md5).mkdir(parents=True)
        Image.new("RGB", (60, 60), colour).save(home.datasets / md5 / "a.png")
    Image.new("RGB", (60, 60), "black").save(tmp_path / "x.png")
    asked = answering("search", neighbours=[{"id": "a.png", "label": "mug", "score": 0.5}], release=release.id, model_version="1")
    code, _, error = glocal("query", tmp_path / "x.png", "--save", tmp_path / "out.png")
    assert code == 0, error
    assert asked["matches"] is True
    drawn = Image.open(tmp_path / "out.png")
    assert [drawn.getpixel((x, 100)) for x in (100, 370)] == [(0, 0, 0), (0, 0, 255)]


def test_two_images_are_drawn_side_by_side(glocal, answering, tmp_path):
    for name in ("x.png", "y.png"):
        Image.new("RGB", (60, 60), "black").save(tmp_path / name)
    asked = answering("verify")
    words = ["query", tmp_path / "x.png", tmp_path / "y.png", "--op", "verify"]
    assert glocal(*words)[0] == 0
    assert asked["matches"] is False
    assert glocal(*words, "--save", tmp_path / "out.png")[0] == 0
    assert asked["matches"] is True
    assert Image.open(tmp_path / "out.png").width > 2 * 200
