"""Trying on the dashboard, in a real browser before a real endpoint: asking, correcting, enrolling."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.security.people import Role
from dashboard.security.sessions import Sessions
from model.data.images import to_png
from model.data.manifest import read_manifest
from model.data.versions.fetch import fetch
from model.data.versions.pin import resolve, versions
from model.environment import Environment
from serving.corrections import corrections
from serving.history import history_faults, read_history
from serving.local import local_client, read_key
from tests.support.browser import Watch, browsing, overflow, serious_faults
from tests.support.dashboard import followed, programs, serving_dashboard
from tests.support.detection import scene
from tests.support.shelf import serve_shelf, shown

pytestmark = pytest.mark.integration

NAME = "shelf"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def base(home, tmp_path_factory):
    return serve_shelf(home, tmp_path_factory.mktemp("base"), NAME, matches=True)


@pytest.fixture(scope="module")
def watch(home, base):
    environment = Environment(home=home)
    with serving_dashboard(environment) as address, browsing(viewport={"width": 1280, "height": 900}) as context:
        cookie = Sessions(home.dashboard).begin("ana", Role.OPERATOR)
        context.add_cookies([{"name": f"glocal_{address.rpartition(':')[2]}", "value": cookie, "url": address}])
        yield Watch(context.new_page(), address)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Files: a cup that the gallery holds, an object that it does not, a scene with a cup."""
    folder = tmp_path_factory.mktemp("images")
    for name, image in {
        "cup": shown(1),
        "beaker": shown(11),
        "other beaker": shown(12),
        "scene": scene((shown(1), 60, 50)),
    }.items():
        (folder / f"{name}.png").write_bytes(to_png(image))
    return folder


def keep_picture(page, name):
    """Keep a picture of the page in the folder that the variable SCREENSHOTS names, if it names one."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/try-{name}.png", full_page=True)


def ask(watch, operation, *files):
    """Choose an operation and images; the answer as text."""
    page = watch.page
    if page.url != f"{watch.address}/try":
        watch.open("/try")
    page.check(f'input[name="operation"][value="{operation}"]', force=True)
    page.set_input_files("#images", [])
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.set_input_files("#images", [str(file) for file in files])
    page.wait_for_selector('#answer[aria-busy="false"] .answer')
    keep_picture(page, operation)
    assert watch.said == []
    assert serious_faults(page) == []
    return page.inner_text("#answer")


def test_a_search_shows_its_neighbours_and_where_they_match(watch, images, base):
    said = ask(watch, "search", images / "cup.png")
    page = watch.page
    assert "cup" in page.inner_text(".neighbours li >> nth=0")
    assert "1.000" in page.inner_text(".neighbours li >> nth=0")
    loaded = page.eval_on_selector_all(".neighbours img", "all => all.filter(each => each.naturalWidth > 0).length")
    assert loaded == page.locator(".neighbours li").count() == 4
    assert page.locator("svg.pair >> nth=0").locator("circle").count() >= 6
    assert base.id in said
    assert base.embedding_space_id in said
    page.set_viewport_size({"width": 390, "height": 800})
    assert overflow(page) <= 0
    ask(watch, "search", images / "cup.png")
    assert page.evaluate("scrollY") > 0  # to the answer, which a phone does not show otherwise
    page.set_viewport_size({"width": 1280, "height": 900})


def test_an_identification_stands_on_a_scale_with_its_threshold(watch, images):
    assert "✓ cup" in ask(watch, "identify", images / "cup.png")
    assert "threshold 0.9995" in watch.page.get_attribute("svg.scale", "aria-label")
    said = ask(watch, "identify", images / "beaker.png")
    assert "Unknown" in said
    assert "set so that 1 % of images of classes that the gallery does not have are accepted" in said
    assert "0.00 % to 2.00 %" in said


def test_a_picture_is_taken_by_the_camera_which_is_let_go_and_one_is_told_where_it_may_not_be_used(watch):
    page = watch.page
    watch.open("/try")
    page.check('input[name="operation"][value="identify"]', force=True)
    page.click("#camera")
    page.wait_for_selector("text=The browser does not let this page use the camera.")
    page.context.grant_permissions(["camera"], origin=watch.address)
    page.click("#camera")
    page.wait_for_function("() => document.querySelector('#viewfinder[open] video')?.videoWidth > 0")
    page.evaluate("window.track = document.querySelector('#viewfinder video').srcObject.getTracks()[0]")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.click("#viewfinder [data-take]")
    page.wait_for_selector('#answer[aria-busy="false"] .answer')
    keep_picture(page, "camera")
    assert "Unknown" in page.inner_text("#answer")
    assert page.locator("#chosen img").count() == 1
    assert page.evaluate("window.track.readyState") == "ended"
    assert not page.locator("#viewfinder[open]").count()
    assert watch.said == []
    page.context.clear_permissions()


def test_two_images_are_compared(watch, images):
    assert "✓ The same" in ask(watch, "verify", images / "cup.png", images / "cup.png")
    assert watch.page.locator("svg.pair line").count() >= 6
    assert "≠ Not the same" in ask(watch, "verify", images / "cup.png", images / "beaker.png")


def test_objects_are_drawn_in_their_scene(watch, images):
    said = ask(watch, "detect", images / "scene.png")
    assert "cup" in watch.page.inner_text(".objects")
    assert "cup" in watch.page.locator("svg.scene text >> nth=0").text_content()
    assert "not calibrated" in said


def test_an_embedding_is_shown_with_its_length(watch, images, base):
    assert f"{base.gallery.dimensions} dimensions" in ask(watch, "embed", images / "cup.png")


def test_each_image_has_its_own_answer_or_error(watch, images, tmp_path):
    (tmp_path / "no image.png").write_bytes(b"x")
    said = ask(watch, "identify", images / "cup.png", tmp_path / "no image.png")
    assert "✓ cup" in said
    assert watch.page.locator(".answer .problem").count() == 1
    assert "no image.png" in said


def test_an_example_is_asked_about_at_once(watch):
    watch.open("/try")
    page = watch.page
    assert page.locator(".examples li").count() >= 2
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.locator('.examples input[name="example"] >> nth=0').focus()
        page.keyboard.press("Space")
    page.wait_for_selector(".neighbours")
    assert "1.000" in page.inner_text(".neighbours li >> nth=0")


def test_the_command_and_the_program_that_are_shown_ask_the_same(watch, images, home):
    ask(watch, "search", images / "cup.png")
    environment = {**os.environ, "GLOCAL_KEY": read_key(home.serve), "PYTHONPATH": str(ROOT)}
    code = watch.page.locator("#as-python").text_content()
    command = watch.page.locator("#as-curl").text_content()
    for words in ([sys.executable, "-c", code], ["bash", "-c", command]):
        said = subprocess.run(words, cwd=images, env=environment, capture_output=True, text=True, check=False)
        assert '"cup"' in said.stdout, said.stderr


def test_the_key_reaches_no_browser_and_no_image_is_stored(watch, home, images):
    ask(watch, "search", images / "cup.png")
    assert read_key(home.serve) not in watch.page.content()
    assert not list(home.dashboard.root.rglob("*.png"))


def test_a_correction_becomes_a_revision_when_someone_says_so(watch, home, images):
    ask(watch, "identify", images / "beaker.png")
    page = watch.page
    page.click(".wrong summary")
    page.fill('.wrong input[name="label"]', "ja")
    page.wait_for_selector('.wrong datalist option[value="jar"]', state="attached")
    page.fill('.wrong input[name="label"]', "jar")
    page.click(".wrong button")
    page.wait_for_selector("text=Kept as a correction")
    (kept,) = corrections(home)
    assert (kept.label, kept.by, kept.data, kept.name) == ("jar", "ana", NAME, "beaker.png")
    assert kept.asked.said[0].startswith("unknown; the best match is ")

    watch.open("/try/corrections")
    assert page.eval_on_selector(".frame img", "image => image.naturalWidth") > 0
    keep_picture(page, "corrections")
    assert serious_faults(page) == []
    before = versions(home.data, NAME)
    page.check('input[name="id"]')
    page.click('button[value="accept"]')
    page.wait_for_selector('[data-state="succeeded"]', timeout=120_000)
    assert serious_faults(page) == []
    pin = resolve(home.data, NAME)
    assert len(versions(home.data, NAME)) == len(before) + 1
    manifest = read_manifest(fetch(pin, home.data, home.datasets))
    (added,) = [row for row, path in enumerate(manifest.paths) if path.startswith("corrections/")]
    assert manifest.classes[manifest.labels[added]] == "jar"
    assert manifest.splits[added] == "distractor"
    assert (manifest.folder / str(manifest.paths[added])).read_bytes() == (images / "beaker.png").read_bytes()
    assert corrections(home)[0].accepted == f"{NAME}@{pin.rev}"
    assert page.get_attribute("#job a.primary", "href") == f"/data/{NAME}"


def test_a_verification_is_corrected_by_a_label_for_each_image(watch, home, images):
    ask(watch, "verify", images / "cup.png", images / "beaker.png")
    page, before = watch.page, len(corrections(home))
    page.click(".wrong summary")
    assert "not which images are the same" in page.inner_text(".wrong")
    keep_picture(page, "verify-wrong")
    assert serious_faults(page) == []
    for number, label in enumerate(("cup", "jar")):
        page.fill(f'.wrong input[name="label"] >> nth={number}', label)
    page.click(".wrong button")
    page.wait_for_selector("text=Kept as a correction")
    kept = corrections(home)[: len(corrections(home)) - before]
    assert {each.name: each.label for each in kept} == {"cup.png": "cup", "beaker.png": "jar"}


def test_a_detection_is_corrected_by_a_box_that_is_dragged_over_the_image(watch, home, images):
    ask(watch, "detect", images / "scene.png")
    page = watch.page
    page.click(".wrong summary")
    place = page.locator("svg.scene").bounding_box()
    page.mouse.move(place["x"] + place["width"] / 4, place["y"] + place["height"] / 4)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.up()
    assert page.is_checked(".wrong [data-other]")
    width, height = page.eval_on_selector("svg.scene", "scene => [scene.viewBox.baseVal.width, scene.viewBox.baseVal.height]")
    dragged = [float(each) for each in page.input_value('.wrong [name="place"]').split()]
    assert dragged == pytest.approx([width / 4, height / 4, width / 2, height / 2], abs=1)
    page.fill('.wrong input[name="label"]', "jar")
    keep_picture(page, "detect-wrong")
    assert serious_faults(page) == []
    page.click(".wrong button")
    page.wait_for_selector("text=Kept as a correction")
    assert corrections(home)[0].box == tuple(dragged)
    ask(watch, "detect", images / "scene.png")
    page.click(".wrong summary")
    page.fill('.wrong input[name="label"]', "bowl")
    page.click(".wrong button")
    page.wait_for_selector("text=Kept as a correction")
    with local_client(home.serve) as client:
        (found,) = client.detect((images / "scene.png").read_bytes()).objects
    assert corrections(home)[0].box == tuple(found.box)  # of the object that was found
    watch.open("/try/corrections")
    keep_picture(page, "corrections-of-boxes")
    assert serious_faults(page) == []


@pytest.fixture
def two(home, watch):
    with programs(Environment(home=home), watch.address, "ana", "bob") as both:
        yield both


def enrol_bowl(client):
    """Begin to enrol a bowl by the API, or find the job that was begun before."""
    image = {"name": "photo.png", "data": base64.b64encode(to_png(shown(22))).decode()}
    body = {"label": "bowl", "images": [image], "why": "a bowl"}
    return client.post(f"/models/{NAME}/gallery", json=body, headers={"Idempotency-Key": "the bowl"})


@pytest.mark.long
def test_a_new_object_is_enrolled_and_found_at_once_while_somebody_else_enrols_another(watch, home, images, two):
    page = watch.page
    watch.open("/try/enrol")
    page.fill('input[name="label"]', "beaker")
    page.set_input_files("#images", [str(images / "beaker.png"), str(images / "other beaker.png")])
    assert page.locator("#chosen img").count() == 2
    page.click("#enrol button.primary")
    page.wait_for_selector("#job")
    assert enrol_bowl(two[1]).status_code == 202  # it waits for its turn
    page.wait_for_selector("#job tbody tr", timeout=60_000)
    assert serious_faults(page) == []
    page.wait_for_selector('[data-state="succeeded"], [data-state="failed"], [data-state="rejected"]', timeout=300_000)
    assert "shelf version 2 serves: 2 new entries of beaker" in page.inner_text("#job")
    keep_picture(page, "enrolled")
    assert not list(home.dashboard.jobs.rglob("*.png"))  # they are a data set now
    page.click("text=Find it")
    page.wait_for_selector(".examples li")
    assert "✓ beaker" in ask(watch, "identify", images / "beaker.png")
    assert "version 2" in page.inner_text("#answer")
    with local_client(home.serve) as client:
        assert client.identify(images / "beaker.png", model=NAME).label == "beaker"


def test_what_programs_begin_by_the_api_is_followed_to_its_end_at_the_endpoint(home, two):
    """An enrolment, a shadow and its end, a promotion, and a rollback."""
    (ana, bob), model = two, f"/models/{NAME}"
    enrolled = followed(bob, enrol_bowl(bob))
    assert (enrolled["state"], enrolled["by"]) == ("succeeded", "bob"), enrolled
    with local_client(home.serve) as client:
        assert client.identify(to_png(shown(22)), model=NAME).label == "bowl"
    champion, other = enrolled["result"]["model_version"], str(int(enrolled["result"]["model_version"]) - 1)
    assert served(home) == champion
    trial = followed(bob, bob.post(f"{model}/versions/{other}/challenge", json={"mode": "shadow", "share": 1.0}))
    assert (trial["state"], trial["result"]["version"]) == ("succeeded", other), trial
    shadow = bob.get(f"{model}/challenge").json()["challenger"]
    assert (shadow["version"], shadow["challenge"]["mode"], served(home)) == (other, "shadow", champion)
    ended = followed(bob, bob.request("DELETE", f"{model}/challenge"))
    assert (ended["state"], ended["result"]["ended"]) == ("succeeded", other)
    assert bob.get(f"{model}/challenge").json()["challenger"] is None

    stale = ana.post(f"{model}/versions/{other}/promote", json={"why": "smaller", "instead_of": other})
    assert (followed(ana, stale)["state"], served(home)) == ("failed", champion)
    promoted = followed(ana, ana.post(f"{model}/versions/{other}/promote", json={"why": "smaller", "instead_of": champion}))
    assert (promoted["state"], promoted["result"]["version"], served(home)) == ("succeeded", other, other), promoted
    back = followed(bob, bob.post(f"{model}/rollback", json={"why": "no vases", "version": champion, "instead_of": other}))
    assert (back["state"], served(home)) == ("succeeded", champion), back
    made = [(entry.by, entry.version, entry.outcome) for entry in read_history(home.tracking_uri, name=NAME)[-3:]]
    assert made == [("bob", champion, "promoted"), ("ana", other, "promoted"), ("bob", champion, "promoted")]
    assert history_faults(home, home.tracking_uri) == []
    assert not list(home.dashboard.jobs.rglob("files"))


def served(home):
    """The version that answers."""
    with local_client(home.serve) as client:
        return client.release(NAME)["model_version"]
