"""Trying the endpoint: what its pages show where nothing answers, what they refuse, and corrections."""

import base64
import io
import shlex

import pytest
from PIL import Image

from dashboard.security.people import Role
from dashboard.views.trying.answers import Item, pair
from dashboard.views.trying.options import fields, options_of
from dashboard.views.trying.served import choose_served
from dashboard.views.trying.snippets import curl
from dashboard.views.trying.tokens import Tokens
from model.data import pixels
from model.environment import Environment
from model.files import write_json
from model.home import Home
from pipelines import cli
from pipelines.actions.action import API
from serving import corrections as kept
from serving.operations import OPERATIONS
from serving.operations.detect import DetectAnswer
from serving.operations.identify import IdentifyAnswer
from serving.operations.search import SearchAnswer
from serving.operations.verify import VerifyAnswer
from tests.support.dashboard import Browser, program
from tests.support.releases import draw_image, make_full_release
from tests.support.served import NAME, served_home

LABEL = "class 1"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return make_full_release(tmp_path_factory.mktemp("trying") / "release")


@pytest.fixture
def home(tmp_path, release):
    """A home whose version 3 is on record as served, with its data fetched; no endpoint runs."""
    home = served_home(tmp_path, release)
    (home.datasets / "secret.png").write_bytes(draw_image(1))
    return home


@pytest.fixture
def served(home):
    return choose_served(home, NAME)


@pytest.fixture
def browser(home):
    return Browser(Environment(home=home), Role.OPERATOR)


def sent(data=None, name="image.png"):
    return [("images", (name, draw_image(1) if data is None else data, "image/png"))]


def an_answer(release, kind=SearchAnswer, **values):
    return kind(release=release.id, embedding_space_id=release.embedding_space_id, model_version="3", **values)


@pytest.fixture
def token(browser, release, served):
    return Tokens(browser.app.state.sessions.key).sign(an_answer(release, neighbours=()), "search", served, draw_image(1))


def test_without_a_model_the_page_says_how_one_comes_to_serve(tmp_path):
    page = Browser(Environment(home=Home.at(tmp_path))).get("/try")
    assert page.status_code == 200
    assert "No model serves yet." in page.text
    assert "glocal run DIR" in page.text


def test_the_page_says_that_the_endpoint_does_not_run_and_offers_every_operation(browser):
    page = browser.get("/try")
    assert page.status_code == 200
    assert "The endpoint does not run." in page.text
    assert "glocal serve start" in page.text
    assert all(f'value="{name}"' in page.text for name in OPERATIONS)
    assert page.text.count('name="example"') == 5  # one of each class


def test_a_question_is_answered_by_the_page_with_what_was_typed_and_the_error(browser):
    form = {"model": NAME, "operation": "search", "search.k": "7", "search.label": LABEL}
    page = browser.post("/try", form, files=sent())
    assert page.status_code == 503
    assert "The endpoint does not run." in page.text
    assert 'value="7"' in page.text
    fragment = browser.post("/try", form, files=sent(), headers={"X-Fragment": "1"})
    assert (fragment.status_code, "<html" in fragment.text) == (503, False)


@pytest.mark.parametrize(
    ("form", "files", "said"),
    [
        ({"search.k": "0"}, sent(), "greater than or equal to 1"),
        ({"operation": "detect", "detect.min_score": "x"}, sent(), "min_score"),
        ({"operation": "verify"}, sent(), "verify needs 2 images, not 1."),
        ({}, [], "No image was chosen."),
        ({}, sent() * 9, "9 images are too many."),
        ({"model": "other"}, sent(), "No model other is served."),
        ({"operation": "<b>"}, sent(), "There is no operation"),
        ({"example": "../secret.png"}, [], "This example is not on this machine."),
    ],
)
def test_a_form_that_is_wrong_is_refused_before_anything_is_asked(browser, home, form, files, said):
    write_json(home.serve.gateway, {"port": 9})  # where nothing answers
    page = browser.post("/try", {"model": NAME, "operation": "search", **form}, files=files or None)
    assert page.status_code in {404, 413, 422}
    assert said in page.text.replace("&#39;", "'").replace("&lt;", "<")


def test_options_are_those_of_the_schemas(served):
    for operation in OPERATIONS.values():
        names = {field.name.partition(".")[2] for field in fields(operation, served, {})}
        assert names == set(operation.options.model_fields) - {"group"}  # this gallery has no groups
    (rate,) = fields(OPERATIONS["identify"], served, {})
    assert rate.choices == ("0.01",)
    given = {"search.k": " 3 ", "search.label": "", "search.matches": "on"}
    assert options_of(OPERATIONS["search"], served, given) == {"k": "3", "rerank": False, "matches": True}


def test_images_of_the_gallery_are_small_kept_by_browsers_and_never_of_another_folder(browser, release):
    page = f"/try/images/{NAME}/3/{release.id}"
    shown = browser.get(f"{page}?id=drawn/1.png&side=160")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert "immutable" in shown.headers["cache-control"]
    assert Image.open(io.BytesIO(shown.content)).size == (48, 48)
    cut = browser.get(f"{page}?id=drawn/1.png%230,0,10,20")
    assert Image.open(io.BytesIO(cut.content)).size == (10, 20)
    for name in ("../secret.png", "/etc/hostname", "drawn", "", "%00", "drawn/99.png", "drawn/../../secret.png"):
        assert browser.get(f"{page}?id={name}").status_code == 404, name
    assert browser.get(f"{page}?id=drawn/1.png&side=5000").status_code == 404
    assert browser.get(f"/try/images/{NAME}/3/another?id=drawn/1.png").status_code == 404
    assert browser.get(f"/try/images/..%2f/3/{release.id}?id=drawn/1.png").status_code == 404


def test_labels_are_suggested_by_what_was_typed(browser):
    found = browser.get(f"/try/labels?model={NAME}&typed=CLASS 1").json()
    assert found == [LABEL]
    assert len(browser.get(f"/try/labels?model={NAME}").json()) == 5


def test_lines_join_the_same_places_of_two_images_of_one_height():
    one = type("Small", (), {"width": 100, "height": 50})
    drawn = pair(one, 40, 80, ((0.5, 0.5, 0.0, 1.0),))
    assert (drawn.first, drawn.second_left, drawn.second, drawn.width) == (600, 612, 150, 762)
    assert drawn.lines[0][:4] == (300, 150, 612, 300)


def test_a_scale_holds_score_runner_up_and_threshold(release):
    values = {"known": True, "label": "cup", "best": "cup", "runner_up": "jar", "margin": 0.25, "score": 0.75}
    answer = an_answer(release, IdentifyAnswer, threshold=0.6, false_accept_rate=0.01, **values)
    item = Item(("a",), answer=answer)
    assert item.least == 0.4
    assert [(mark.name, round(mark.at, 6)) for mark in item.scale] == [
        ("threshold", pytest.approx(100 / 3, abs=1e-5)),
        ("score", pytest.approx(175 / 3, abs=1e-5)),
        ("runner-up", pytest.approx(50 / 3, abs=1e-5)),
    ]


def test_labels_of_detected_objects_stay_on_the_image(release):
    found = [{"label": "x" * 200, "box": (90, 0, 100, 10), "score": 0.9, "inliers": 9, "exemplar": "e"}] * 2
    answer = an_answer(release, DetectAnswer, objects=found, calibrated=True)
    small = type("Small", (), {"width": 100, "height": 60})
    for box in Item(("a",), (small,), answer=answer).boxes:
        assert box.label_left >= 0
        assert box.label_left + box.label_width <= 100
        assert box.label_top >= 0
        assert box.label_top + box.label_height <= 60


def test_names_of_files_cannot_end_the_command(served):
    name = """a'; rm -rf "x".jpg"""
    command = curl("http://127.0.0.1:8080", "m", "search", {"k": 3, "rerank": True}, [name])
    words = shlex.split(command.replace("\\\n", ""))
    assert words[-2:] == [f"@{name}", "http://127.0.0.1:8080/v1/models/m/search?k=3&rerank=true"]


def test_a_correction_is_kept_with_who_corrected_which_answer(browser, home, token, release):
    answer = browser.post("/try/corrections", {"token": token, "label": " class 2 "}, files=sent(name="my photo.png"))
    assert answer.status_code == 303
    (made,) = kept.corrections(home)
    assert (made.label, made.by, made.data, made.name) == ("class 2", "ana", "drawn", "my photo.png")
    assert (made.asked.operation, made.asked.release, made.asked.said) == ("search", release.id, ("no neighbour",))
    assert kept.correction_image(home, made).read_bytes() == draw_image(1)
    page = browser.get(answer.headers["location"])
    assert "Kept as a correction." in page.text
    assert browser.get(f"/try/corrections/{made.id}/image").status_code == 200


@pytest.mark.parametrize(
    ("changes", "files", "said"),
    [
        ({"label": " "}, sent(), "A label is missing."),
        ({"label": "a\nb"}, sent(), "cannot be seen"),
        ({"label": "x" * 300}, sent(), "more than 255 bytes"),
        ({}, [], "The image that was asked about is missing."),
        ({}, sent(draw_image(2)), "This is not the image that was asked about."),
        ({"token": "forged"}, sent(), "too old to be corrected"),
    ],
)
def test_a_correction_that_is_wrong_is_refused_and_nothing_is_kept(browser, home, token, changes, files, said):
    page = browser.post("/try/corrections", {"token": token, "label": LABEL, **changes}, files=files or None)
    assert page.status_code == 422
    assert said in page.text
    assert kept.corrections(home) == []


def test_both_images_of_a_verification_are_kept_with_their_labels(browser, home, release, served):
    images = [draw_image(1), draw_image(2)]
    answer = an_answer(release, VerifyAnswer, same=True, score=0.9, threshold=0.5, false_accept_rate=0.01)
    tokens = [Tokens(browser.app.state.sessions.key).sign(answer, "verify", served, image) for image in images]
    files = [sent(image)[0] for image in reversed(images)]  # chosen in the other order
    form = {"token": tokens, "label": ["class 1", "class 2"]}
    assert browser.post("/try/corrections", form, files=files).status_code == 303
    found = {each.label: kept.correction_image(home, each).read_bytes() for each in kept.corrections(home)}
    assert found == {"class 1": images[0], "class 2": images[1]}
    refused = browser.post("/try/corrections", {**form, "label": ["class 1", " "]}, files=files)
    assert (refused.status_code, "A label is missing." in refused.text) == (422, True)
    assert refused.text.count('name="label"') == refused.text.count('name="token"') == 2
    assert len(kept.corrections(home)) == 2


@pytest.fixture
def detected(browser, release, served):
    answer = an_answer(release, DetectAnswer, objects=(), calibrated=True)
    return Tokens(browser.app.state.sessions.key).sign(answer, "detect", served, draw_image(1))


def test_a_box_is_kept_with_the_label_of_what_is_in_it(browser, home, detected):
    page = browser.post(
        "/try/corrections", {"token": detected, "label": LABEL, "box": "", "place": "2, 3, 20, 23.6"}, files=sent()
    )
    assert page.status_code == 303
    (made,) = kept.corrections(home)
    assert (made.box, made.asked.operation) == ((2, 3, 20, 23.6), "detect")
    small = browser.get(f"/try/corrections/{made.id}/image")
    assert Image.open(io.BytesIO(small.content)).size == (18, 21)  # what is in the box alone
    assert "a box in the image" in browser.get("/try/corrections").text


def test_an_image_is_decoded_once_to_check_it_and_its_box(browser, detected, monkeypatch):
    decoded, decode = [], pixels._decode
    monkeypatch.setattr(pixels, "_decode", lambda *image: decoded.append(image) or decode(*image))
    page = browser.post("/try/corrections", {"token": detected, "label": LABEL, "place": "2 3 20 23"}, files=sent())
    assert (page.status_code, len(decoded)) == (303, 1)


@pytest.mark.parametrize("box", ["", "1 2 3", "a b c d", "nan 0 9 9", "0 0 9999 9", "9 9 2 2", "-5 0 9 9"])
def test_a_detection_is_corrected_by_a_box_that_is_in_the_image(browser, home, detected, box):
    page = browser.post("/try/corrections", {"token": detected, "label": LABEL, "place": box}, files=sent())
    assert page.status_code == 422
    assert f'name="place" value="{box}"' in page.text
    assert kept.corrections(home) == []


def test_an_example_is_corrected_without_being_sent_again(browser, home, token):
    answer = browser.post("/try/corrections", {"token": token, "label": LABEL, "example": "drawn/1.png"})
    assert answer.status_code == 303
    assert len(kept.corrections(home)) == 1


def test_a_correction_is_dropped_by_an_operator_alone(browser, home, token):
    browser.post("/try/corrections", {"token": token, "label": LABEL}, files=sent())
    (made,) = kept.corrections(home)
    form = {"id": made.id, "do": "drop"}
    assert Browser(Environment(home=home), Role.VIEWER).post("/try/corrections/change", form).status_code == 403
    assert browser.post("/try/corrections/change", {"do": "drop"}).status_code == 422
    assert browser.post("/try/corrections/change", {"id": "../../x", "do": "drop"}).status_code == 404
    assert browser.post("/try/corrections/change", form).status_code == 303
    assert kept.corrections(home) == []
    assert not list(home.dashboard.corrections.glob("[!.]*"))


def test_corrections_are_bounded_and_accepted_ones_make_room(browser, home, token, monkeypatch):
    monkeypatch.setattr(kept, "MAX_CORRECTIONS", 2)
    form = {"token": token, "label": LABEL}
    for _ in range(2):
        assert browser.post("/try/corrections", form, files=sent()).status_code == 303
    full = browser.post("/try/corrections", form, files=sent())
    assert (full.status_code, "Accept or drop some first." in full.text) == (409, True)
    oldest = kept.corrections(home)[-1]
    oldest.model_copy(update={"accepted": "drawn@0"}).save(home.dashboard.corrections / oldest.id / "correction.json")
    assert browser.post("/try/corrections", form, files=sent()).status_code == 303
    assert oldest.id not in {each.id for each in kept.corrections(home)}


def test_corrections_of_two_data_sets_are_not_accepted_at_once(browser, home, token):
    for _ in range(2):
        browser.post("/try/corrections", {"token": token, "label": LABEL}, files=sent())
    one, other = kept.corrections(home)
    other.model_copy(update={"data": "else"}).save(home.dashboard.corrections / other.id / "correction.json")
    page = browser.post("/try/corrections/change", {"id": [one.id, other.id], "do": "accept"})
    assert (page.status_code, "Accept those of one data set at a time." in page.text) == (422, True)


@pytest.mark.parametrize(
    ("form", "files", "said"),
    [
        ({"label": ""}, sent(), "A label is missing."),
        ({"label": "mug"}, [], "No image was chosen."),
        ({"label": "mug"}, sent(b"no image", "a.txt"), "a.txt:"),
        ({"label": "mug"}, sent() * 51, "51 images are too many."),
    ],
)
def test_an_enrolment_that_is_wrong_is_refused_with_what_was_typed(browser, home, form, files, said):
    page = browser.post("/try/enrol", {"model": NAME, "why": "new mugs", **form}, files=files or None)
    assert page.status_code in {413, 422}
    assert said in page.text
    assert 'value="new mugs"' in page.text
    assert not home.dashboard.jobs.exists()


def test_a_viewer_does_not_enrol(home):
    viewer = Browser(Environment(home=home), Role.VIEWER)
    assert viewer.post("/try/enrol", {"model": NAME, "label": "mug"}, files=sent()).status_code == 403
    assert "Enrolling needs the role operator" in viewer.get("/try/enrol").text


def test_a_file_is_read_no_further_than_the_endpoint_takes_it(browser, monkeypatch):
    monkeypatch.setattr("dashboard.views.trying.asking.MAX_BYTES", 100)
    page = browser.post("/try", {"model": NAME, "operation": "search"}, files=sent(bytes(101)))
    assert (page.status_code, "Save it smaller." in page.text) == (413, True)


def encoded(data):
    return base64.b64encode(data).decode()


def test_a_program_keeps_lists_and_drops_corrections(home):
    shop = program(Environment(home=home), "shop")
    body = {"model": NAME, "images": [{"name": "1.png", "data": encoded(draw_image(1))}], "labels": ["class 2"]}
    (made,) = shop.post(f"{API}/corrections", json={**body, "said": ["class 1"], "box": [2, 3, 20, 23]}).json()
    assert (made["by"], made["label"], made["box"], made["asked"]["said"]) == ("shop", "class 2", [2, 3, 20, 23], ["class 1"])
    assert kept.correction_image(home, kept.corrections(home)[0]).read_bytes() == draw_image(1)
    assert [each["id"] for each in shop.get(f"{API}/corrections").json()] == [made["id"]]
    for wrong in (
        {"labels": []},
        {"labels": ["a", "b"]},
        {"labels": [" "]},
        {"images": [{"name": "1.png", "data": encoded(b"no image")}]},
        {"images": [{"name": "1.png", "data": "no base64!"}]},
        {"box": [0, 0, 9999, 9]},
    ):
        assert shop.post(f"{API}/corrections", json={**body, **wrong}).status_code == 422, wrong
    assert shop.post(f"{API}/corrections", json={**body, "model": "none"}).status_code == 404
    assert shop.request("DELETE", f"{API}/corrections/{made['id']}").status_code == 200
    assert kept.corrections(home) == []


def test_the_command_line_keeps_and_drops_corrections(home, tmp_path, monkeypatch, capsys):
    def glocal(*words):
        monkeypatch.setattr("sys.argv", ["glocal", "corrections", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code or 0, *capsys.readouterr())

    monkeypatch.setenv("GLOCAL_HOME", str(home.root))
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for number, file in enumerate(files):
        file.write_bytes(draw_image(number))
    code, out, _ = glocal("add", *map(str, files), "--label", "class 1", "--name", NAME, "--op", "verify")
    assert (code, len(out.split())) == (0, 2)
    code, shown, _ = glocal()
    assert [f"{file.name} is class 1  for drawn  verify" in shown for file in files] == [True, True]
    code, _, error = glocal("add", str(files[0]), "--label", "x", "--name", NAME, "--box", "1,2")
    assert code == 2
    code, _, error = glocal("add", str(tmp_path), "--label", "x", "--name", NAME)
    assert (code, "cannot be read" in error) == (2, True)
    assert glocal("drop", *out.split())[0] == 0
    assert "There are no corrections." in glocal()[2]
