"""The benchmark of thresholds on a handful of drawn images, with a small trunk of random weights."""

import json
import sys

import numpy as np
import pytest

from benchmarks.calibration import SPLITS, draw_split, main, summary
from model.data.manifest import Manifest
from tests.support.datasets import draw_view

pytestmark = pytest.mark.slow

SMALL = (
    "model.trunk=test_efficientnet",
    "model.weights=none",
    "model.image_size=32",
    "train.device=cpu",
    "train.workers=0",
    "train.init=random",
)


def manifest(tmp_path, classes=12, images=20):
    labels = np.repeat(np.arange(classes), images)
    paths, none = np.array([f"{row}.png" for row in range(len(labels))]), np.full(len(labels), "")
    names = tuple(f"class {label:02}" for label in range(classes))
    boxes = np.full((len(labels), 4), np.nan, np.float32)
    return Manifest(tmp_path, paths, labels, np.full(len(labels), "train"), boxes, names, none)


def classes_of(split, *sides):
    return set(split.labels[split.rows(*sides)].tolist())


def test_by_name_the_first_half_trains_and_at_random_another_half(tmp_path):
    by_name, random = (draw_split(manifest(tmp_path), kind, 0) for kind in SPLITS)
    assert classes_of(by_name, "train", "val") == set(range(6))
    assert classes_of(by_name, "test") == set(range(6, 12))
    assert classes_of(random, "test") != classes_of(by_name, "test")
    assert not classes_of(random, "test") & classes_of(random, "train", "val")
    assert np.bincount(by_name.labels[by_name.rows("train", "val", "test")]).tolist() == [14] * 12


def test_the_difference_is_paired_and_has_an_interval():
    def run(plain, normalised):
        return {way: {rate: {"error": value} for rate in ("0.01", "0.001")} for way, value in plain_and(plain, normalised)}

    def plain_and(plain, normalised):
        return (("plain", plain), ("normalised", normalised))

    found = summary([run(3.0, 1.0), run(5.0, 3.0)])["0.01"]
    assert (found["plain"]["error"], found["normalised"]["error"]) == (4, 2)
    assert found["difference"]["error"] == [-2, -2, -2]


def test_the_command_measures_both_ways_on_both_splits(tmp_path, monkeypatch, capsys):
    for label in range(10):
        (tmp_path / "drawn" / f"{label:02}").mkdir(parents=True)
        for view in range(3):
            (tmp_path / "drawn" / f"{label:02}" / f"{view}.png").write_bytes(draw_view(label, view))
    changes = [part for change in SMALL for part in ("--set", change)]
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    command = ["calibration", "--data", str(tmp_path / "drawn"), "--seeds", "1", *changes, "--json"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert not ended.value.code, captured.err
    found = json.loads(captured.out.splitlines()[-1])
    assert set(found) == {"drawn, by name", "drawn, random", "all"}
    for way in ("plain", "normalised"):
        assert 0 <= found["all"]["0.01"][way]["false_accept"] <= 1
    assert found["all"]["0.01"]["plain"] != found["all"]["0.01"]["normalised"]
