"""Versions trained again by the real pipeline: what agrees, what does not, and what cannot be compared."""

import json
import shutil
import signal
import subprocess
from types import SimpleNamespace

import pytest

from model.claim import claim
from model.config import DataConfig
from model.data.importing.pinning import pin_dataset
from model.home import Home
from model.release import seal_release
from serving.processes import wait_until
from serving.registry.commit import code_commit
from serving.registry.models import Registry
from serving.registry.runs import Runs
from tests.support.commands import begin, command, end, glocal, last_line, processes
from tests.support.datasets import make_dataset
from tests.support.releases import make_parts
from tests.support.trained import register_trained, small_config, train_release

pytestmark = pytest.mark.integration

NAME = "drawn"


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Version 1, trained, with a true record; 2, the same network, whose record has another seed."""
    root = tmp_path_factory.mktemp("reproduction")
    home = claim(Home.at(root / "home"))
    source = make_dataset(root / NAME)
    pin = pin_dataset(source, NAME, home.data, DataConfig(split="manifest")).pin
    config = small_config()
    first = train_release(home, pin, config, root / "1")
    assert register_trained(home, NAME, root / "1", config, commit=code_commit()) == "1"
    known = SimpleNamespace(home=home, uri=home.tracking_uri, root=root, pin=pin, first=first)
    recorded(known, "2", lambda report: report["settings"]["train"].update(seed=5))
    yield known
    end(home.root)


def recorded(known, version, change):
    """Another version of the network of the first, with a changed report."""
    out = shutil.copytree(known.root / "1", known.root / version)
    sealed = seal_release(known.first.folder, known.root / f"{version}.release", pin=known.pin, code_revision=f"test {version}")
    shutil.rmtree(out / "release")
    sealed.folder.replace(out / "release")
    file = out / "report" / "report.json"
    report = json.loads(file.read_text())
    report["release"] = sealed.id
    change(report)
    file.write_text(json.dumps(report))
    assert register_trained(known.home, NAME, out, small_config()) == version


def reproduce(known, version, *options):
    return glocal(known.home.root, command("reproduce", version, "--name", NAME, *options))


def versions(known):
    return [version.version for version in Registry(known.uri, NAME).versions()]


@pytest.mark.long
def test_a_killed_reproduction_goes_on_and_agrees_to_the_last_bit_and_registers_nothing(known):
    before, work = versions(known), known.home.work / "reproductions" / known.first.id
    words = command("reproduce", "1", "--name", NAME)
    with begin(known.home.root, words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        trained = wait_until(lambda: any(work.rglob("last*.safetensors")), deadline_s=120, pause_s=0.02)
        process.kill()
    assert (trained, process.returncode) == (True, -signal.SIGKILL)
    assert wait_until(lambda: not processes(known.home.root), deadline_s=60)
    code, out, error = reproduce(known, "1", "--json")
    assert code == 0, error
    found = last_line(out)
    assert (found["agrees"], found["same_weights"], found["embeddings"]) == (True, True, 32)
    assert found["embeddings_difference"] <= 1e-6
    assert found["figures_difference"] <= 1e-6
    assert found["figures"]["map_at_r"]["before"] == found["figures"]["map_at_r"]["after"]
    assert found["data"] == known.pin.to_json()
    assert [step in error for step in ("train", "index", "evaluate", "compare")] == [True] * 4
    assert "cached" not in error
    assert versions(known) == before
    assert not work.exists()  # the next one trains again
    run = Runs(known.uri).run(found["run_id"])
    assert (run.kind, run.tags["agrees"], run.data) == ("reproduction", "True", known.pin)


@pytest.mark.long
def test_another_seed_does_not_agree_and_the_largest_difference_is_said(known):
    code, out, error = reproduce(known, "2")
    assert code == 1, error
    lines = {line.split(maxsplit=1)[0]: line for line in out.splitlines()}
    assert lines["verdict"].endswith("does NOT agree to 1e-06")
    assert "32 compared, largest difference" in lines["embeddings"]
    assert "test 2 -> " in lines["code"]
    assert "Note: How the code differs is not known" in error


def _other_data(report):
    report["data"] |= {"rev": "f" * 40, "md5": "f" * 32}


def _on_a_gpu(report):
    report["training"]["machine"] |= {"device": "cuda", "name": "H200"}


def _old_setting(report):
    report["settings"]["train"]["magic"] = 1


@pytest.mark.parametrize(
    ("version", "change", "code", "said"),
    [
        ("3", _other_data, 3, "The data of drawn version 3, drawn@fffffff, are gone: "),
        ("4", _on_a_gpu, 4, "drawn version 4 was trained on cuda H200, "),
        ("5", _old_setting, 2, "drawn version 5 was trained with settings that this code does not have: "),
    ],
)
def test_what_cannot_be_repeated_is_said_in_a_line_and_nothing_is_started(known, version, change, code, said):
    if version not in versions(known):
        recorded(known, version, change)
    runs = len(Runs(known.uri).runs())
    given, out, error = reproduce(known, version)
    assert (given, out) == (code, "")
    assert error.startswith(f"Error: {said}"), error
    assert len(error.splitlines()) <= 2
    assert len(Runs(known.uri).runs()) == runs


def test_a_version_without_a_run_cannot_be_repeated(known, tmp_path):
    release = seal_release(make_parts(tmp_path / "parts", seed=9), tmp_path / "release", pin=known.pin, code_revision="test")
    version = Registry(known.uri, NAME).register(release, {})
    code, out, error = reproduce(known, version)
    assert (code, out) == (3, "")
    assert error.startswith(f"Error: No run is on record that trained drawn version {version}, so its settings are not known.")
