import base64
import json
import re
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
from model.evaluation.metrics import PerQuery, evaluate_retrieval
from model.evaluation.report import THUMBNAIL, thumbnail, typical_queries, worst_queries, write_report
from tests.support.releases import make_pin

HOSTILE = '<script>alert("1")</script>'
CLASSES = (HOSTILE, "<img src=x onerror=alert(2)>", "pear & 'plum'")
WHOLE = np.full(4, np.nan, dtype=np.float32)
VOID = {"meta", "img"}
DATA = {**make_pin().to_json(), "md5": "0a1b2c.dir", "rev": HOSTILE}
SETTINGS = {"model": ModelConfig().model_dump(), "train": TrainConfig().model_dump()}
EXTRA = {
    **{"release": "0" * 16, "embedding_space_id": "1" * 16, "code_revision": "test", "latency_ms": 12.5, "size_mb": 20.0},
    "gallery": {"samples": 13, "classes": 4},
    "splits": {"test": {"samples": 13, "classes": 4}},
    "calibration": {},
    "network": {"dimensions": 512, "heads": {"global": {"tap": "deep"}}, "losses": [{"name": "l", "on": "merged", "weight": 1}]},
    "licences": {"weights": "Apache", "code": "Apache"},
}


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
    report = write_report(
        out,
        title=f"Evaluation {HOSTILE}",
        manifest=manifest,
        candidate=searched(manifest, 0.2),
        untrained=searched(manifest, 0.8),
        data=DATA,
        settings={**SETTINGS, "evaluate": {"samples": 50, "heads": ["global", "local"]}, HOSTILE: None},
        extra=EXTRA,
        samples=50,
    )
    return report, out


@pytest.fixture(scope="module")
def page(made) -> str:
    return (made[1] / "report.html").read_text()


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
        "model_card.md",
        "report.html",
        "report.json",
        "untrained.npz",
    ]
    assert json.loads((out / "report.json").read_text()) == report
    candidate, untrained = PerQuery.load(out / "candidate.npz"), PerQuery.load(out / "untrained.npz")
    assert report["map_at_r"] == candidate.mean("map_at_r") > untrained.mean("map_at_r") == report["untrained"]["map_at_r"]
    assert report["gain"]["map_at_r"] == pytest.approx(report["map_at_r"] - report["untrained"]["map_at_r"])
    assert (report["queries"], report["queries_without_match"]) == (13, 1)
    assert report["latency_ms"] == 12.5
    assert (out / "model_card.md").read_text() == render_card(f"Evaluation {HOSTILE}", report)
    assert report["by_class"]["single"]["queries"] == 0


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
        "0a1b2c.dir",
        "train.epochs",
        "global, local",
        "50 resamples",
        "1 of 13 queries have no other image",
        "12.5",
        "squeezed",
    ):
        assert words in page


def test_groups_have_figures_of_their_own_where_the_data_name_any(made, page, tmp_path):
    assert made[0]["by_group"] == {}
    assert "Groups" not in page
    manifest = samples(tmp_path)
    grouped = replace(manifest, groups=np.array([HOSTILE] * 8 + ["green"] * 4 + [""]))
    write_report(
        tmp_path / "out",
        title="",
        manifest=grouped,
        candidate=searched(manifest, 0.2),
        untrained=searched(manifest, 0.8),
        data=DATA,
        settings=SETTINGS,
        extra=EXTRA,
        samples=50,
    )
    report, text = json.loads((tmp_path / "out" / "report.json").read_text()), (tmp_path / "out" / "report.html").read_text()
    assert {name: row["queries"] for name, row in report["by_group"].items()} == {HOSTILE: 8, "green": 4, "(no group)": 0}
    first, second, third, _ = report["by_class"].values()  # sorted by name, as written
    assert "All groups, worst first" in text
    assert HOSTILE not in text
    assert sum(row["map_at_r"] for row in (first, second, third)) == pytest.approx(
        2 * report["by_group"][HOSTILE]["map_at_r"] + report["by_group"]["green"]["map_at_r"]
    )


def test_figures_of_other_rows_than_the_manifests_are_refused(tmp_path):
    manifest = samples(tmp_path)
    figures = searched(manifest, 0.2)
    same = {"title": "", "candidate": figures, "untrained": figures, "data": {}, "settings": {}}
    with pytest.raises(InvalidInput, match="not of the manifest's rows"):
        write_report(tmp_path / "out", manifest=manifest.select(np.arange(5)), extra={}, **same)
    with pytest.raises(InvalidInput, match="recall_at_1 already"):
        write_report(tmp_path / "out", manifest=manifest, extra={"recall_at_1": 1.0}, **same)
    assert not (tmp_path / "out").exists()


def thumbnail_of(file: Path, box: list[float] | None = None) -> torch.Tensor:
    source = thumbnail(file, np.array(box, dtype=np.float32) if box else WHOLE)
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
