"""A run over a folder with defects, through the command line and a real pipeline."""

import json
import os
import subprocess
import sys

import pytest

from model.home import Home
from serving.registry.runs import Runs
from tests.support.datasets import draw_view

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """The folder, the home, and what the command said."""
    root = tmp_path_factory.mktemp("refused")
    for label in range(5):
        (root / "shop" / f"class {label}").mkdir(parents=True)
        for view in range(3):
            (root / "shop" / f"class {label}" / f"{view}.png").write_bytes(draw_view(label, view))
    (root / "shop" / "class 0" / "0.png").write_bytes(b"no image at all")
    (root / "shop" / "nothing").mkdir()
    words = [sys.executable, "-m", "pipelines.cli", "run", str(root / "shop"), "--json"]
    environment = os.environ | {"GLOCAL_HOME": str(root / "home"), "GLOCAL_USER": "ann"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=240, check=False)
    return root, done


def test_every_defect_is_named_with_exit_code_2_and_no_step_follows(refused):
    root, done = refused
    assert done.returncode == 2, done.stderr
    body = json.loads(done.stdout)
    assert body["status"] == "failed"
    assert [step["name"] for step in body["steps"]] == ["record"]
    assert {defect.split(": ")[0] for defect in body["error"]["defects"]} == {"unsupported", "empty class"}
    said = done.stderr.splitlines()
    start = said.index(f"Error: version: {body['error']['headline']}")
    assert said[start + 1 : start + 3] == [f"  {defect}" for defect in body["error"]["defects"]]
    assert f"{root / 'home' / 'data' / 'reports' / 'shop.txt'}" in said[start + 3]


def test_the_record_carries_the_headline_of_the_import(refused):
    root, done = refused
    body = json.loads(done.stdout)
    (record,) = Runs(Home.at(root / "home").tracking_uri).runs()
    assert record.id == body["run_id"]
    assert (record.state, record.user, record.data) == ("failed", "ann", None)
    assert record.name.startswith("shop multi_head 20")
    assert (record.failure.step, record.failure.headline) == ("version", body["error"]["headline"])
    assert record.params["train.epochs"] == "12"
