import base64
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.io import decode_image, write_jpeg

from model.config import ModelConfig, TrainConfig
from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.evaluation.card import render_card
from model.evaluation.contact_sheets import THUMBNAIL, contact_sheets, sheet_image, thumbnail, typical_queries, worst_queries
from model.evaluation.definitions import definitions
from model.evaluation.figures import retrieval_figures
from model.evaluation.metrics import PerQuery, evaluate_retrieval
from model.evaluation.report import render_report, write_report
from model.evaluation.statements import threshold_warnings
from model.evaluation.won_lost import compare_queries
from model.schemas.accept_rates import AcceptFigures, AcceptRates, CurvePoint, MeasuredThreshold
from model.schemas.decision import ComparedChampion, Decision, RuleResult
from model.schemas.detection_figures import DetectionFigures
from model.schemas.head_figures import HeadFigures
from model.schemas.illustrations import EmbeddingMap, Illustrations, MapClass, MatchedPair, SceneBox, SceneImage
from model.schemas.labelling import ScorePoint
from model.schemas.report import Report
from model.schemas.run_record import RunRecord
from tests.support.releases import make_pin
from tests.support.reports import MOMENT, figure, make_report, make_training

HOSTILE = '<script>alert("1")</script>'
CLASSES = (HOSTILE, "<img src=x onerror=alert(2)>", "pear & 'plum'")
SETTINGS = {"model": ModelConfig().model_dump(), "train": TrainConfig().model_dump(mode="json")}
WHOLE = np.full(4, np.nan, dtype=np.float32)
VOID = {"meta", "img"}
HIDDEN = "a\u202eb\nc\x85d\xade\u200f"
RUN = RunRecord(state="running", started=MOMENT, id="1f", name=HOSTILE, why=f"{HOSTILE} {HIDDEN}", user="=1+1")


def report_of(manifest: Manifest, candidate: PerQuery, untrained: PerQuery) -> Report:
    settings = {**SETTINGS, "evaluate": {"samples": 50, "heads": ["global", "local"]}, HOSTILE: {}}
    found = retrieval_figures(manifest, candidate, untrained, samples=50)
    return make_report(data=make_pin(licence=HOSTILE), settings=settings, retrieval=found, **measured())


def illustrated(manifest: Manifest, candidate: PerQuery) -> Illustrations:
    """Every kind of illustration; names of the data are code."""
    image = sheet_image(manifest, 0)
    boxes = [
        SceneBox(box=(0.1, 0.2, 0.5, 0.6), label=HOSTILE, kind=kind, score=None if kind == "missed" else 0.75)
        for kind in ("right", "wrong", "missed")
    ]
    classes = [
        MapClass(name=HOSTILE, example=image, place=(0.25, 0.5), points=((0.25, 0.5, True), (0.3, 0.6, False))),
        MapClass(name="rye", example=None, place=(1, 0.75), points=((1.0, 0.75, True),)),
    ]
    return Illustrations(
        sheets=contact_sheets(manifest, candidate),
        matches=(MatchedPair(query=image, found=sheet_image(manifest, 4, score=0.5), places=((0.1, 0.2, 0.3, 0.4),)),),
        scenes=(SceneImage(image=image, boxes=tuple(boxes)),),
        map=EmbeddingMap(seed=3, height=0.75, classes=tuple(classes)),
    )


def accepted(value: float, *, equal_error: bool = True) -> AcceptFigures:
    points = ((0.9, 0.0, 0.25), (0.5, 0.015, value), (-1.0, 1.0, 1.0))
    curve = tuple(CurvePoint(threshold=one, false_accept=two, true_accept=three) for one, two, three in points)
    rates = {"0.01": figure(value, 0.5, 0.95), "0.001": figure(0.25)}
    one = AcceptRates(eer=figure(0.0625) if equal_error else None, true_accept_at=rates, curve=curve)
    threshold = MeasuredThreshold(threshold=0.5, false_accept=figure(0.015, 0.005, 0.04), true_accept=figure(value))
    return AcceptFigures(genuine=24, impostors=1200, candidate=one, untrained=one, thresholds={"0.01": threshold})


def measured() -> dict[str, object]:
    """What a report has beside the neighbours."""
    point = ScorePoint(score=0.5, detections=7, precision=0.75, precision_interval=(0.5, 0.9), recall=0.625)
    heads = (
        HeadFigures(
            name="merged", dimensions=512, weight=None, recall_at_1=figure(0.75), map_at_r=figure(0.4), gain=None, queries=12
        ),
        HeadFigures(
            name=HOSTILE,
            dimensions=256,
            weight=0.5,
            recall_at_1=figure(0.7),
            map_at_r=figure(0.35),
            gain=figure(0.05),
            queries=12,
        ),
    )
    found = DetectionFigures(scenes=3, boxes=8, ap50=figure(0.875, 0.8, 0.9), ap50_unlabelled=figure(0.9375), points=(point,))
    return {
        "memory_mb": 431.25,
        "heads": heads,
        "detection": found,
        "verification": accepted(0.8125),
        "identification": accepted(0.6875, equal_error=False),
    }


def decided(passed: bool = True) -> Decision:
    texts = (f"The group that changed for the worst, {HOSTILE}: held.", "MAP@R is low: NOT held.")
    rules = [
        RuleResult(name="rule", held=held, figure=None, threshold=None, text=text)
        for held, text in zip((True, passed), texts, strict=True)
    ]
    champion = ComparedChampion(name="grains", version="2", data="grains@0000000")
    return Decision(made_at=MOMENT, release="r" * 16, passed=passed, champion=champion, queries=12, rules=tuple(rules))


def samples(folder: Path) -> Manifest:
    """Four images of each of three classes, and one class of a single image."""
    paths, labels = [], []
    for number in range(13):
        path = f"{number}.jpg"
        image = torch.full((3, 60, 90), 20 * number, dtype=torch.uint8)
        write_jpeg(image, str(folder / path))
        paths.append(path)
        labels.append(min(number // 4, 3))
    count = len(paths)
    none = np.full(count, "")
    boxes, splits = np.tile(WHOLE, (count, 1)), np.full(count, "test")
    return Manifest(folder, np.array(paths), np.array(labels), splits, boxes, (*CLASSES, "single"), none)


def searched(manifest: Manifest, noise: float) -> PerQuery:
    random = np.random.default_rng(0)
    vectors = np.eye(8)[manifest.labels] + noise * random.normal(size=(len(manifest), 8))
    return evaluate_retrieval(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), manifest.labels, manifest.ids)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The report as returned, and the folder it was written to. Image 5 cannot be read."""
    folder, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work") / "new" / "report"
    manifest = samples(folder)
    (folder / "5.jpg").write_text("no image")
    candidate, untrained = searched(manifest, 0.2), searched(manifest, 0.8)
    report = report_of(manifest, candidate, untrained)
    write_report(out, report, illustrated(manifest, candidate), candidate=candidate, untrained=untrained)
    return report, out


@pytest.fixture(scope="module")
def page(made, tmp_path_factory) -> str:
    """The page as it is once the model is registered."""
    folder = shutil.copytree(made[1], tmp_path_factory.mktemp("complete") / "report")
    manifest = samples(tmp_path_factory.mktemp("shown"))
    compared = compare_queries(manifest, searched(manifest, 0.8), searched(manifest, 0.2), ("grains version 2", HOSTILE))
    shown = {"decision": decided(), "comparison": compared, "version": f"grains version 3 {HOSTILE}"}
    render_report(folder, made[0], run=RUN, **shown)
    return (folder / "report.html").read_text()


class Tags(HTMLParser):
    """Every tag with its attributes; and whether each one opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_on_disk_is_the_one_returned_and_stands_beside_what_it_was_made_from(made):
    report, out = made
    assert sorted(path.name for path in out.iterdir()) == [
        "candidate.npz",
        "illustrations.json",
        "model_card.md",
        "report.html",
        "report.json",
        "untrained.npz",
    ]
    assert Report.load(out / "report.json") == report
    candidate, untrained = PerQuery.load(out / "candidate.npz"), PerQuery.load(out / "untrained.npz")
    found = report.retrieval
    assert found.figures["map_at_r"].value == candidate.mean("map_at_r") > untrained.mean("map_at_r")
    assert found.untrained["map_at_r"].value == untrained.mean("map_at_r")
    assert found.gain.value == pytest.approx(candidate.mean("map_at_r") - untrained.mean("map_at_r"))
    assert (found.queries, found.queries_without_match, found.classes) == (13, 1, 4)
    assert (out / "model_card.md").read_text() == render_card(report)
    assert found.by_class["single"].queries == 0


def test_the_page_asks_nothing_of_any_other_place(page):
    for tag, attributes in Tags(page).tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in page
    assert "://" not in page
    assert "default-src 'none'" in page


def test_names_that_are_code_are_shown_and_not_run(page):
    parsed = Tags(page)
    assert not any(tag == "script" or name.startswith("on") for tag, attributes in parsed.tags for name in attributes or [""])
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in page
    assert any(attributes.get("alt") == f"Query: {HOSTILE}" for tag, attributes in parsed.tags if tag == "img")


def test_the_page_is_well_formed_and_every_image_and_chart_has_its_words(page):
    parsed = Tags(page)
    assert parsed.open == []
    assert all(attributes.get("alt") for tag, attributes in parsed.tags if tag == "img")
    charts = [attributes for tag, attributes in parsed.tags if tag == "svg"]
    assert charts
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") for attributes in charts)
    assert [tag for tag, _ in parsed.tags if tag == "h1"] == ["h1"]
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["aria-labelledby"] for tag, attributes in parsed.tags if tag == "section"} == set(ids)


def test_thresholds_stand_with_the_rate_that_was_stated_and_the_one_that_was_measured(page):
    for words in (
        "24 pairs of one class, 1,200 of two",
        "24 queries whose thing is there; 1,200 whose own class is left out",
        "Equal error rate",
        "True accepts at 0.1 % false",
        "<td>1 %</td><td><strong>1.50 %</strong>",
        'd="M54.4 18.75h0"',  # log10(0.015) is 54.4 % of the way from -4 to 0; 0.8125 is 18.75 % from the top
        'x1="50.0" x2="50.0"',  # 0.01 is half of the way
    ):
        assert words in page
    assert page.count('<th scope="row">Equal error rate') == 1, "identification has none"


@pytest.mark.parametrize(
    ("wrongly", "rightly", "words"),
    [
        ((0.03, 0.02, 0.05), 0.8, "gives 3.00 % on the test classes: more is accepted than it states."),
        ((0.001, 0, 0.004), 0.25, "it is too strict for them, and 25.0 % are accepted rightly, where 81.2 % could be."),
        ((0.001, 0, 0.004), 0.8, ""),  # strict, and nearly as good as can be
        ((0.015, 0.005, 0.04), 0.8, ""),  # its interval holds the stated rate
    ],
)
def test_a_threshold_that_does_not_give_what_it_states_is_said_so(wrongly, rightly, words):
    found = accepted(0.8125)
    changed = found.thresholds["0.01"].model_copy(update={"false_accept": figure(*wrongly), "true_accept": figure(rightly)})
    report = make_report(verification=found.model_copy(update={"thresholds": {"0.01": changed}}))
    warnings = threshold_warnings(report)
    assert len(warnings) == bool(words)
    if words:
        assert warnings[0].startswith("The threshold of verification for 1 % false accepts, 0.500, gives")
        assert warnings[0].endswith(words)
        assert warnings[0] in render_card(report)


def test_heads_detection_matches_map_and_costs_are_shown(page):
    for words in (
        "431 MiB of memory to answer queries",
        "AP50, boxes and labels",
        "3 scenes with 8 true boxes",
        "1 right, 1 wrong, 1 missed",
        "Gain by merging",
        "1 match: ",
        '<line x1="9.5" y1="20.0" x2="133.5" y2="40.0"',
        "t-SNE with seed 3",
        "An illustration that measures nothing",
    ):
        assert words in page
    assert page.count("<circle") == 3
    assert page.count('class="missed"') == 1


def test_the_card_has_the_same_figures(made):
    card = (made[1] / "model_card.md").read_text()
    for line in (
        "| Equal error rate of verification | 0.062 [0.062, 0.062] | 0.062 [0.062, 0.062] |",
        "| True accepts of verification at 1 % false | 0.812 [0.500, 0.950] | 0.812 [0.500, 0.950] |",
        "| True accepts of identification at 0.1 % false | 0.250 [0.250, 0.250] | 0.250 [0.250, 0.250] |",
        "| AP50 of detection, 3 scenes | 0.875 [0.800, 0.900] | – |",  # noqa: RUF001  # the dash of tables
    ):
        assert line in card
    assert card.count(" alone | 0.350 ") == 1, "the merged embedding is no head"


def test_queries_won_and_lost_against_the_champion_are_shown_where_there_is_one(page, made):
    assert "Queries won and lost against the champion" in page
    assert "<bdi>grains version 2</bdi>" in page
    assert "against the champion" not in (made[1] / "report.html").read_text()


def test_what_was_not_measured_has_no_section(made, tmp_path):
    folder = shutil.copytree(made[1], tmp_path / "report")
    Illustrations(sheets=()).save(folder / "illustrations.json")
    nothing = {"memory_mb": None, "heads": (), "detection": None, "verification": None, "identification": None}
    render_report(folder, made[0].model_copy(update=nothing))
    text = (folder / "report.html").read_text()
    for name in ("thresholds", "heads", "detection", "matches", "map", "champion"):
        assert f'id="{name}"' not in text
    assert "of memory to answer queries" not in text


def test_right_and_wrong_are_told_by_a_sign_and_a_word_not_by_colour_alone(page):
    frames = re.findall(r'<figure class="(right|wrong)">.*?(Neighbour \d, (?:right|wrong)).*?([✓✗])', page, re.DOTALL)
    assert {kind for kind, _, _ in frames} == {"right", "wrong"}
    for kind, words, sign in frames:
        assert words.endswith(kind)
        assert sign == ("✓" if kind == "right" else "✗")


def test_an_image_that_cannot_be_read_is_said_so_and_the_report_is_made(page):
    assert "cannot be read" in page


def test_the_page_names_the_data_the_settings_the_intervals_and_the_queries_left_out(page):
    for words in (
        "d" * 32,
        "train.epochs",
        "global, local",
        "50 resamples",
        "1 of 13 queries have no other image",
        "12.5",
        "squeezed",
    ):
        assert words in page


def test_groups_have_figures_of_their_own_where_the_data_name_any(made, page, tmp_path):
    assert made[0].retrieval.by_group == {}
    assert "Groups" not in page
    manifest = samples(tmp_path)
    grouped = replace(manifest, groups=np.array([HOSTILE] * 8 + ["green"] * 4 + [""]))
    candidate, untrained = searched(manifest, 0.2), searched(manifest, 0.8)
    report = report_of(grouped, candidate, untrained)
    write_report(tmp_path / "out", report, illustrated(grouped, candidate), candidate=candidate, untrained=untrained)
    groups, text = report.retrieval.by_group, (tmp_path / "out" / "report.html").read_text()
    assert {name: row.queries for name, row in groups.items()} == {HOSTILE: 8, "green": 4, "(no group)": 0}
    first, second, third, _ = report.retrieval.by_class.values()  # sorted by name, as written
    assert "All groups, worst first" in text
    assert HOSTILE not in text
    assert sum(row.map_at_r.value for row in (first, second, third)) == pytest.approx(
        2 * groups[HOSTILE].map_at_r.value + groups["green"].map_at_r.value
    )


def test_figures_of_other_rows_than_the_manifests_are_refused(tmp_path):
    manifest = samples(tmp_path)
    figures = searched(manifest, 0.2)
    with pytest.raises(InvalidInput, match="not of the manifest's rows"):
        retrieval_figures(manifest.select(np.arange(5)), figures, figures)


def test_before_the_gate_the_page_says_what_is_not_known_yet(made):
    early = (made[1] / "report.html").read_text()
    assert "not decided yet" in early
    assert "not registered yet" in early
    assert 'id="decision"' not in early


def test_the_complete_page_has_date_run_reason_version_decision_champion_and_curve(page):
    for words in (
        "2026-11-25 04:30 UTC",
        "grains version 3",
        "=1+1",
        '<span class="verdict passed">passed</span>',
        "grains version 2 trained on grains@0000000",
        "Best epoch 2 of 3.",
        "MAP@R on held-out classes by epoch: epoch 0: 0.3000; epoch 1: 0.3500; epoch 2: 0.4500; epoch 3: 0.4000.",
        "Training loss by epoch: epoch 1: 1.0000;",
        "1.2 times the trunk alone",
    ):
        assert words in page


def test_every_figure_is_defined_in_a_sentence(page):
    for term, sentence in definitions(20).items():
        assert f"<dt>{term}</dt>" in page
        assert sentence.endswith(".")


def test_direction_marks_and_line_breaks_are_shown_not_obeyed(page):
    assert "\u202e" not in page
    assert r"a\u202eb c d\xade\u200f" in page


def test_a_refused_model_is_shown_as_refused_with_the_broken_rule(made, tmp_path):
    folder = shutil.copytree(made[1], tmp_path / "report")
    render_report(folder, made[0], decision=decided(passed=False))
    text = (folder / "report.html").read_text()
    assert '<span class="verdict refused">refused</span>' in text
    assert '<li class="broken"><b aria-hidden="true">✗</b><span><bdi>MAP@R is low: NOT held.' in text
    assert "not registered yet" not in text


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (make_training(0.4, 0.3, best=0), "The closed-form init helps, the training steps add nothing"),
        (make_training(0.4, 0.3, best=0, init="random"), "The random init helps, the training steps add nothing"),
        (make_training(1.0, 0.9, best=0), '<p class="warning">Validation is saturated: the init reaches MAP@R 1.0000'),
        (make_training(0.4, best=0), "No epochs were planned: the closed-form init is kept."),
    ],
)
def test_the_page_does_not_praise_training_that_did_nothing(made, tmp_path, training, words):
    folder = shutil.copytree(made[1], tmp_path / "report")
    found = made[0].retrieval.model_copy(update={"gain": figure(0.2, 0.1, 0.3)})
    render_report(folder, made[0].model_copy(update={"training": training, "retrieval": found}))
    text = (folder / "report.html").read_text()
    assert words in text
    assert "Training helps" not in text


def thumbnail_of(file: Path, box: list[float] | None = None) -> torch.Tensor:
    source = thumbnail(file, box)
    head, data = source.split(",")
    assert head == "data:image/jpeg;base64"
    return decode_image(torch.frombuffer(bytearray(base64.b64decode(data)), dtype=torch.uint8))


def test_a_thumbnail_keeps_the_images_shape_and_shows_the_box_where_there_is_one(tmp_path):
    image = torch.zeros(3, 400, 800, dtype=torch.uint8)
    image[:, 100:300, 500:600] = 255
    write_jpeg(image, str(tmp_path / "a.jpg"), quality=95)
    assert thumbnail_of(tmp_path / "a.jpg").shape == (3, THUMBNAIL // 2, THUMBNAIL)
    boxed = thumbnail_of(tmp_path / "a.jpg", [500, 100, 600, 300])
    assert boxed.shape == (3, THUMBNAIL, THUMBNAIL // 2)
    assert boxed.float().mean() > 240


@pytest.mark.parametrize("box", [[700, 300, 900, 500], [-50, -50, 20, 20], [900, 900, 950, 950], [5, 5, 5, 5]])
def test_a_box_beyond_the_image_is_cut_to_it_or_left_aside(tmp_path, box):
    write_jpeg(torch.zeros(3, 400, 800, dtype=torch.uint8), str(tmp_path / "a.jpg"))
    assert thumbnail_of(tmp_path / "a.jpg", box).numel()


def test_a_grey_image_and_a_very_long_one_have_thumbnails(tmp_path):
    write_jpeg(torch.zeros(1, 20, 2000, dtype=torch.uint8), str(tmp_path / "a.jpg"))
    assert thumbnail_of(tmp_path / "a.jpg").shape == (3, 1, THUMBNAIL)


def test_typical_queries_run_from_the_best_to_the_lowest_and_worst_ones_are_of_different_classes(tmp_path):
    manifest = samples(tmp_path)
    figures = searched(manifest, 0.8)
    typical, worst = typical_queries(figures, 5), worst_queries(figures)
    values = figures.map_at_r[typical]
    assert len(typical) == 5
    assert (values[0], values[-1]) == (figures.map_at_r[:12].max(), figures.map_at_r[:12].min())
    assert sorted(figures.labels[worst]) == [0, 1, 2]  # the single image has no match, and so is no failure
    for row in worst:
        assert figures.map_at_r[row] == figures.map_at_r[:12][figures.labels[:12] == figures.labels[row]].min()
