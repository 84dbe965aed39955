"""Why a step runs again or does not, by what it is given."""

from datetime import UTC, datetime

import pytest
import yaml

from model.schemas.run_record import RunRecord, StepRecord
from pipelines.compiled import compile_pipeline
from pipelines.step_reasons import ALWAYS, SECTIONS, STEPS, UPSTREAM, Inputs, why_not_cached
from tests.support.releases import make_pin

MOMENT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SETTINGS = {"name": "shop", "train.epochs": "12", "model.method": "multi_head", "index.golden_queries": "4", "gate.level": "0.05"}
PIN = make_pin()
NOW = Inputs(SETTINGS, PIN, "1+a")


def step(name, state="succeeded"):
    return StepRecord(id=name, name=name, state=state, started=MOMENT)


def last(state="succeeded", steps=("version", "train", "index", "evaluate"), code="1+a", data=PIN, **changed):
    """A run of before whose settings differ as given."""
    return RunRecord(
        id="x",
        name="shop at noon",
        state=state,
        started=MOMENT,
        params=SETTINGS | {name.replace("__", "."): value for name, value in changed.items()},
        code_revision=code,
        data=data,
        steps=tuple(map(step, steps)),
    )


def test_the_tables_are_those_of_the_pipeline(tmp_path):
    compiled = next(yaml.safe_load_all(compile_pipeline(tmp_path / "pipeline.yaml").read_text()))
    tasks = {}
    for dag in (compiled["root"], *compiled["components"].values()):
        tasks |= dag.get("dag", {}).get("tasks", {})
    steps = {name: task for name, task in tasks.items() if name in STEPS}
    assert set(steps) == set(STEPS) == {*SECTIONS, *ALWAYS}
    assert {name for name, task in steps.items() if task["cachingOptions"].get("enableCache")} == set(SECTIONS)
    for name in SECTIONS:
        inputs = steps[name]["inputs"]
        given = {each["componentInputParameter"] for each in inputs["parameters"].values() if "componentInputParameter" in each}
        assert {each.removeprefix("pipelinechannel--") for each in given} == set(SECTIONS[name])
        taken = {each["taskOutputArtifact"]["producerTask"] for each in inputs.get("artifacts", {}).values()}
        assert taken == set(UPSTREAM[name])


@pytest.mark.parametrize(
    ("name", "before", "ran", "said"),
    [
        ("train", last(train__epochs="6"), set(), "train.epochs is 12, and was 6."),
        ("index", last(train__epochs="6"), {"train"}, "train runs, whose result it takes."),
        ("evaluate", last(model__method="x"), {"index"}, "model.method is multi_head, and was x; index runs, whose result"),
        ("train", last(code="1+b"), set(), "the code was changed."),
        ("train", last(data=make_pin(rev="b" * 40)), set(), f"the data are {PIN.named}, and were drawn@bbbbbbb."),
        ("train", last(gate__level="0.1", index__golden_queries="9"), set(), "is not in the cache any more."),
        ("train", last("killed", ["version"]), set(), "shop at noon, did not come to its end."),
        ("train", last("failed"), set(), "is not in the cache any more."),
        ("train", None, set(), "No earlier run of these data is on record."),
    ],
)
def test_what_changed_since_the_last_run_of_the_data_is_named(name, before, ran, said):
    assert said in why_not_cached(name, NOW, before, ran)
