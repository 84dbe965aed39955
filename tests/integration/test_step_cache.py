"""KFP's own local runner on a pipeline of two steps, whose artifacts and cache are damaged between two runs."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from kfp import compiler, dsl

from model.home import Home
from pipelines.runners.local import alive, run_local
from tests.support.work import make_work

pytestmark = pytest.mark.integration


@dsl.component(base_image="glocal", install_kfp_package=False)
def train(seed: int, checkpoint: dsl.Output[dsl.Model]):
    from pathlib import Path

    Path(checkpoint.path).mkdir(parents=True)
    (Path(checkpoint.path) / "weights").write_text(f"weights of {seed}")


@dsl.component(base_image="glocal", install_kfp_package=False)
def index(checkpoint: dsl.Input[dsl.Model], release: dsl.Output[dsl.Model]):
    from pathlib import Path

    Path(release.path).mkdir(parents=True)
    (Path(release.path) / "weights").write_text((Path(checkpoint.path) / "weights").read_text())


@dsl.component(base_image="glocal", install_kfp_package=False)
def deploy(release: dsl.Input[dsl.Model]):
    from pathlib import Path

    if (Path(release.path) / "weights").read_text() != "weights of 7":
        raise ValueError("This release is damaged.")


@dsl.pipeline(name="three-steps")
def three_steps(seed: int):
    release = index(checkpoint=train(seed=seed).outputs["checkpoint"]).outputs["release"]
    deploy(release=release).set_caching_options(False)


class Runs:
    """Runs of the same command in one home."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.count = root, Home.at(root / "home"), 0
        compiler.Compiler().compile(three_steps, str(root / "pipeline.yaml"))

    def again(self):
        """Run it: whether it succeeded, which steps came from the cache, and what was warned of."""
        self.count += 1
        folder, events = self.root / f"run-{self.count}", []
        folder.mkdir()
        with alive(folder):
            done = run_local(make_work(self.root / "pipeline.yaml", {"seed": 7}, folder, self.home), events.append)
        warnings = [(event.step, event.text) for event in events if event.event == "warning"]
        return done.succeeded, [step.name for step in done.steps if step.cached], warnings

    def newest(self, step: str, artifact: str) -> Path:
        """The newest artifact of a step."""
        return max(self.home.artifacts.glob(f"*/{step}/{artifact}"), key=lambda path: path.stat().st_mtime_ns)

    def entry_with(self, text: str) -> Path:
        """The newest cache entry that names an artifact."""
        named = [file for file in self.home.step_cache.glob("*/*.json") if f'"{text}"' in file.read_text()]
        return max(named, key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    made = Runs(tmp_path_factory.mktemp("runs"))
    assert made.again() == (True, [], [])
    return made


def flip_a_byte_of_the_release(runs):
    (runs.newest("index", "release") / "weights").write_text("weights of 8")


def remove_the_release(runs):
    shutil.rmtree(runs.newest("index", "release"))


def truncate_the_checkpoint(runs):
    os.truncate(runs.newest("train", "checkpoint") / "weights", 4)


def empty_the_entry_of_the_release(runs):
    runs.entry_with("release").write_bytes(b"")


def garble_the_entry_of_the_checkpoint(runs):
    runs.entry_with("checkpoint").write_bytes(b"\xff{]")


def test_what_is_whole_comes_from_the_cache(runs):
    assert runs.again() == (True, ["train", "index"], [])


def test_a_run_leaves_nothing_in_the_temporary_folder(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert runs.again()[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "step", "cached"),
    [
        (flip_a_byte_of_the_release, "index", ["train"]),
        (remove_the_release, "index", ["train"]),
        (truncate_the_checkpoint, "train", []),  # its new artifact lies elsewhere, so what follows runs as well
        (empty_the_entry_of_the_release, "index", ["train"]),
        (garble_the_entry_of_the_checkpoint, "train", []),
    ],
)
def test_the_same_command_succeeds_again_and_one_line_says_which_step_runs_again(runs, damage, step, cached):
    damage(runs)
    succeeded, taken, ((warned, text),) = runs.again()
    assert (succeeded, taken, warned) == (True, cached, step)
    assert f"The step {step} runs again." in text
    assert text in (runs.root / f"run-{runs.count}" / "run.log").read_text()
