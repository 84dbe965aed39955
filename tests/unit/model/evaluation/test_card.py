import re
import shlex

import pytest

from model.config import ModelConfig, TrainConfig, load_config
from model.evaluation.card import NOT_STATED, ROWS, render_card
from model.evaluation.statements import statements, training_story
from model.schemas.calibration import Calibration
from model.schemas.decision import ComparedChampion, Decision, RuleResult
from model.schemas.gallery_record import FlatIndex, IvfIndex
from model.schemas.report import Licences
from model.schemas.run_record import RunRecord
from tests.support.releases import make_pin
from tests.support.reports import MOMENT, figure, make_report, make_retrieval, make_training, row

HOSTILE = "<script>alert(1)</script> | [click](javascript:alert(1)) `rm` $x^2$\u202e\n# Heading"
RETRIEVAL = {"gain", "classes", "by_group"}


def report(**changes):
    """A report; what is said of `RETRIEVAL` goes to its figures."""
    found = {name: changes.pop(name) for name in RETRIEVAL & changes.keys()}
    return make_report(retrieval=make_retrieval(**found), **changes)


def limits(**changes) -> str:
    return "\n".join(statements(report(**changes))["Out of scope and limits"])


def test_the_uses_are_what_was_measured():
    uses = "\n".join(statements(report())["Intended use"])
    assert "among the 5,000 of 81 classes in its gallery" in uses
    assert "tested on 40 such classes" in uses
    assert "above a similarity of 0.500, at most 1 % of the unlike pairs" in uses
    assert "87.3 % of the like ones" in uses


def test_a_threshold_by_a_cohort_is_said_to_rise():
    calibration = make_report().calibration.model_copy(update={"normalised": True})
    uses = "\n".join(statements(report(calibration=calibration))["Intended use"])
    assert "above a similarity of 0.500, more for images that resemble training classes, at most 1 %" in uses


def test_the_limits_follow_from_the_figures():
    said = limits()
    assert "on other data than grains" in said
    assert "For 25.0 of 100 queries the nearest neighbour was of another class." in said
    assert "had a similarity above 0.625" in said
    assert "160 x 160 pixels" in said
    assert "3 of 1,200 queries had no other image" in said
    assert "Of 2 classes the lowest MAP@R have: oat (0.200), rye (0.600)." in said
    assert "1 of 2 classes have a lower MAP@R than under the untrained trunk: oat." in said
    assert "The data name no groups" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gain": figure(-0.2, -0.3, -0.1)}, "Training hurts: MAP@R is 0.200 below the untrained trunk's."),
        (
            {"gain": figure(0.1, -0.1, 0.3)},
            "Training makes no clear difference: the interval of its gain in MAP@R reaches from -0.100 to +0.300.",
        ),
        ({"classes": 6}, "With only 6 test classes"),
        ({"calibration": Calibration()}, "No threshold was calibrated"),
        ({"training": make_training(0.4, 0.3, best=0)}, "The training steps added nothing"),
    ],
)
def test_what_went_badly_is_said_and_said_only_then(changes, words):
    assert words in limits(**changes)
    assert words not in limits()


def test_groups_stand_in_the_place_of_classes_where_the_data_name_them():
    said = limits(by_group={"whole": row(0.5, 0.2), "milled": row(0.3, 0.1)})
    assert "Of 2 groups the lowest MAP@R have: milled (0.300), whole (0.500)." in said
    assert "0 of 2 groups have a lower MAP@R than under the untrained trunk." in said
    assert "oat" not in said
    assert "The data name no groups" not in said


def test_the_card_has_all_its_sections_in_order():
    headings = re.findall(r"^## (.*)$", render_card(report()), re.MULTILINE)
    assert headings == [
        *("Model details", "Intended use", "Out of scope and limits", "Licences"),
        *("Data", "Metrics", "Metrics by class", "Training"),
        *("What the figures mean", "To make it again"),
    ]


def test_every_figure_stands_beside_the_untrained_trunks_with_its_interval():
    card = render_card(report())
    assert "| MAP@R | 0.400 [0.300, 0.500] | 0.250 [0.300, 0.500] |" in card
    assert "| oat | 4 | 0.500 [0.250, 0.750] | 0.200 [0.200, 0.200] | 0.300 |\n| rye |" in card
    assert "| lone |" not in card  # no query of it could be answered
    assert "| train | 33 | 2000 |\n| test | 40 | 1200 |" in card


def test_of_many_groups_the_worst_stand_in_the_card_and_the_rest_is_counted():
    many = {f"group {number:02}": row(number / 100, 0.0) for number in range(ROWS + 5)}
    card = render_card(report(by_group=many))
    assert card.count("\n| group ") == ROWS + 1  # and the table's head
    assert "5 better ones are in report.json" in card


def test_a_licence_that_nobody_stated_is_not_guessed():
    assert NOT_STATED.replace("_", r"\_") in render_card(report())
    stated = report(data=make_pin(licence="CC BY 4.0"))
    assert "- The data: CC BY 4.0." in render_card(stated)
    assert "terms of their own" in render_card(stated)


def test_names_that_are_markup_are_shown_letter_by_letter():
    found = report(by_group={HOSTILE: row(0.1, 0.2)}, licences=Licences(weights=HOSTILE, code=HOSTILE))
    card = render_card(
        found, run=RunRecord(state="running", started=MOMENT, id="1", name=HOSTILE, why=HOSTILE, user=HOSTILE), version=HOSTILE
    )
    assert "<script>" not in re.sub(r"\\<", "", card)
    assert "](javascript" not in card.replace(r"\]", "")
    assert not re.search(r"(?<!\\)\$", card)
    assert "\u202e" not in card
    assert r"\\u202e" in card
    assert len(re.findall(r"^# ", card, re.MULTILINE)) == 1
    tables = [line for line in card.splitlines() if "script" in line and line.startswith("| ")]
    assert sorted(len(re.findall(r"(?<!\\)\|", line)) for line in tables) == [3, 3, 3, 6]


@pytest.mark.parametrize("rates", [(5e-5,), (5e-5, 1e-3), ()], ids=["one rate", "two rates", "no rate"])
def test_the_command_that_makes_it_again_gives_the_very_settings_back(rates):
    model, training = ModelConfig(image_size=64, trunk="resnet18"), TrainConfig(epochs=3, learning_rates=rates)
    settings = {"model": model.model_dump(), "train": training.model_dump(mode="json"), "evaluate": {"samples": 200}}
    card = render_card(report(settings=settings))
    words = shlex.split(card.split("```bash\n")[1].split("\n```")[0])
    assert words[:3] == ["glocal", "run", f"grains@{'0' * 40}"]
    config = load_config(None, words[4::2])
    assert (config.model, config.train, config.evaluate.samples) == (model, training, 200)


def test_the_card_names_run_version_date_decision_and_best_epoch_once_they_are_known():
    early = render_card(report())
    assert "| registered | not registered yet |" in early
    assert "| decision | not gated yet |" in early
    assert "Decision of the gate" not in early
    rule = RuleResult(name="min_map_at_r", held=True, figure=0.4, threshold=0.1, text="MAP@R is 0.4000: held.")
    champion = ComparedChampion(name="grains", version="2", data="grains@0000000")
    decision = Decision(made_at=MOMENT, release="r" * 16, passed=True, champion=champion, queries=1197, rules=(rule,))
    card = render_card(
        report(),
        run=RunRecord(state="running", started=MOMENT, id="1f", name="a run", why="to try"),
        decision=decision,
        version="grains version 3",
    )
    for line in (
        "| registered | grains version 3 |",
        "| evaluated | 2026-11-25 04:30 UTC |",
        "| run | a run (`1f`) |",
        "| why | to try |",
        "| decision | passed, compared with grains version 2 trained on grains@0000000 |",
        "| weights kept | best epoch 2 of 3 |",
        "- MAP@R is 0.4000: held.",
    ):
        assert line in card


def test_the_gain_is_split_into_init_and_training():
    told = " ".join(training_story(make_training(untrained_map_at_r=0.1)))
    assert "untrained trunk 0.1000, closed-form init 0.3000 (+0.2000), after training 0.4500 (+0.1500)" in told
    assert "Best epoch 2 of 3." in told
    kept = " ".join(training_story(make_training(0.4, 0.3, best=0)))
    assert "closed-form init 0.4000 (+0.3000), after training 0.4000 (+0.0000)" in kept
    assert "The init was kept: no epoch was better than the closed-form init by more than a standard error." in kept


def test_what_an_approximate_search_misses_is_said_and_recorded():
    index = IvfIndex(lists=2000, probes=9, recall_at_10=0.9874, queries=1000)
    assert "it finds 98.7 % of an entry's 10 nearest, as measured on 1,000 entries" in limits(index=index)
    assert report(index=index).recorded()["gallery_recall_at_10"] == 0.9874
    for exact in (None, FlatIndex()):
        assert "approximate" not in limits(index=exact)
        assert "gallery_recall_at_10" not in report(index=exact).recorded()
