import json
import math
from dataclasses import replace

import numpy as np
import pytest

from model.config import GateConfig
from model.errors import Conflict, InvalidInput
from model.evaluation.average_precision import PairedScenes, SceneBoxes
from model.evaluation.gate import Champion, Evidence, check_belong_together, check_decided, decide
from model.evaluation.metrics import PerQuery
from model.schemas.accept_rates import AcceptFigures
from model.schemas.decision import Decision, RuleResult
from model.schemas.detection_figures import DetectionFigures
from tests.support.reports import make_report

VALUES = np.random.default_rng(0).uniform(0.3, 0.7, size=100)
LABELS = np.arange(100) % 10
GROUPS = np.array([f"class {i}" for i in range(10)])[LABELS]


def figures(map_at_r, recall_at_1=0.8) -> PerQuery:
    values = np.broadcast_to(np.asarray(map_at_r, dtype=np.float64), 100).copy()
    return PerQuery(
        ids=np.arange(100).astype(str),
        labels=LABELS,
        ks=(1,),
        recall=(np.arange(100) < 100 * recall_at_1)[:, None],
        map_at_r=values,
        r_precision=values,
        has_match=np.ones(100, dtype=bool),
        neighbours=np.full((100, 10), -1),
        scores=np.full((100, 10), -np.inf, dtype=np.float32),
        best_right=np.full(100, -np.inf, dtype=np.float32),
        best_wrong=np.full(100, -np.inf, dtype=np.float32),
    )


UNTRAINED = figures(VALUES - 0.1, 0.5)

ANY = GateConfig()


def verdict(
    candidate, champion=None, rules=ANY, *, untrained=UNTRAINED, groups=GROUPS, latency_ms=1.0, size_mb=1.0, scenes=None, **more
) -> Decision:
    measured = {"latency_ms": latency_ms, "size_mb": size_mb, "memory_mb": 1.0, **more}
    evidence = Evidence("r" * 16, candidate, untrained, groups, **measured)
    return decide(evidence, champion and Champion("demo", "3", "demo@4f2c1ab", champion, scenes), rules)


def rule(decision: Decision, name: str) -> RuleResult:
    return next(result for result in decision.rules if result.name == name)


def failed(decision: Decision) -> list[str]:
    return [result.name for result in decision.rules if not result.held]


def test_without_a_champion_the_floors_alone_decide_and_it_is_said():
    decision = verdict(figures(VALUES), rules=GateConfig(min_recall_at_1=0.8, min_map_at_r=0.4, min_gain_over_untrained=0.05))
    assert decision.passed
    assert decision.champion is None
    assert "no champion" in rule(decision, "champion").text
    assert [result.name for result in decision.rules] == [
        *("min_recall_at_1", "min_map_at_r", "min_gain_over_untrained", "champion", "max_latency_ms", "max_size_mb"),
        "max_memory_mb",
    ]


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        (GateConfig(min_recall_at_1=0.81), "min_recall_at_1"),
        (GateConfig(min_map_at_r=0.7), "min_map_at_r"),
        (GateConfig(min_gain_over_untrained=0.11), "min_gain_over_untrained"),
    ],
)
def test_each_floor_alone_can_refuse(rules, name):
    decision = verdict(figures(VALUES), rules=rules)
    assert not decision.passed
    assert failed(decision) == [name]


def test_a_figure_equal_to_its_threshold_holds():
    rules = GateConfig(min_recall_at_1=0.8, min_gain_over_untrained=0.1)
    assert figures(0.8).mean("map_at_r") - figures(0.7).mean("map_at_r") < 0.1  # by the rounding of binary fractions
    assert verdict(figures(0.8), rules=rules, untrained=figures(0.7)).passed


def test_a_model_no_better_than_untrained_passes_a_gain_of_zero_and_a_worse_one_does_not():
    assert verdict(UNTRAINED).passed
    assert failed(verdict(figures(VALUES - 0.11))) == ["min_gain_over_untrained"]


def test_a_model_equal_to_the_champion_passes():
    decision = verdict(figures(VALUES), figures(VALUES), GateConfig(max_regression=0.0, max_group_regression=0.0))
    assert decision.passed
    assert str(decision.champion) == "demo version 3 trained on demo@4f2c1ab"


def test_a_model_below_the_champion_by_more_than_the_margin_fails_and_by_less_passes():
    champion = figures(VALUES)
    assert failed(verdict(figures(VALUES - 0.02), champion)) == ["max_regression"]
    assert verdict(figures(VALUES - 0.005), champion).passed


def test_a_model_as_good_on_the_mean_fails_where_the_interval_leaves_a_regression_possible():
    swing = np.where(LABELS % 2, 0.09, -0.09)  # half the classes up, half down
    decision = verdict(figures(VALUES + swing), figures(VALUES))
    assert rule(decision, "max_regression").figure < -0.01
    assert "max_regression" in failed(decision)


def test_a_group_of_several_classes_is_judged_as_one():
    change = np.where(LABELS == 7, -0.2, 0.2)
    pairs = np.array([f"pair {label // 2}" for label in LABELS])  # pair 3: classes 6 and 7, which change by +0.2 and -0.2
    decision = verdict(figures(VALUES + change), figures(VALUES), groups=pairs)
    assert "pair 3 (20 queries), is +0.0000 in MAP@R" in rule(decision, "max_group_regression").text
    assert "max_group_regression" not in failed(decision)


def test_one_class_gone_bad_fails_though_the_mean_is_better():
    change = np.where(LABELS == 7, -0.2, 0.2)
    decision = verdict(figures(VALUES + change), figures(VALUES))
    assert failed(decision) == ["max_group_regression"]
    assert "class 7 (10 queries)" in rule(decision, "max_group_regression").text
    assert rule(decision, "max_group_regression").figure == pytest.approx(-0.2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_a_number_passes_nothing(value):
    values = VALUES.copy()
    values[3] = value
    rules = GateConfig(min_gain_over_untrained=-1, max_regression=1, max_group_regression=1)
    decision = verdict(figures(values), figures(VALUES), rules)
    assert failed(decision) == ["min_map_at_r", "min_gain_over_untrained", "max_regression", "max_group_regression"]
    assert rule(decision, "min_map_at_r").figure is None


def test_queries_none_of_which_has_a_match_pass_nothing():
    none = np.zeros(100, dtype=bool)
    one = replace(figures(VALUES), has_match=none)
    decision = verdict(one, one, untrained=one)
    assert len(failed(decision)) == 5
    assert decision.queries == 0


def test_budgets_hold_what_was_measured():
    rules = GateConfig(max_latency_ms=50, max_size_mb=20)
    assert verdict(figures(VALUES), rules=rules, latency_ms=50, size_mb=12.5).passed
    assert failed(verdict(figures(VALUES), rules=rules, latency_ms=50.1, size_mb=20.1)) == ["max_latency_ms", "max_size_mb"]
    assert failed(verdict(figures(VALUES), rules=rules, latency_ms=math.nan, size_mb=1)) == ["max_latency_ms"]


def test_models_of_other_queries_are_not_compared():
    other = replace(figures(VALUES), ids=np.arange(1, 101).astype(str))
    with pytest.raises(InvalidInput, match="not of the same queries"):
        verdict(figures(VALUES), other)
    with pytest.raises(InvalidInput, match="not of the same queries"):
        verdict(other)


def test_each_rule_says_its_figure_its_threshold_and_whether_it_held_in_a_sentence():
    decision = verdict(figures(VALUES), rules=GateConfig(min_recall_at_1=0.85))
    assert rule(decision, "min_recall_at_1") == RuleResult(
        name="min_recall_at_1",
        held=False,
        figure=0.8,
        threshold=0.85,
        text="Recall@1 is 0.8000; at least 0.8500 is asked: NOT held.",
    )
    assert decision.refused == ("Recall@1 is 0.8000; at least 0.8500 is asked: NOT held.",)


def test_sentences_name_the_champion_its_version_and_its_data():
    decision = verdict(figures(VALUES), figures(VALUES))
    for name in ("max_regression", "max_group_regression"):
        assert "from the champion's, demo version 3 trained on demo@4f2c1ab" in rule(decision, name).text


def test_a_groups_name_cannot_break_or_turn_round_a_sentence():
    names = np.array(["evil\u202e\nheld.", "\u05d0\u05d1"])[LABELS % 2]
    change = np.where(LABELS % 2, 0.2, -0.2)
    first = verdict(figures(VALUES + change), figures(VALUES), groups=names)
    assert r"worst, evil\u202e\x0aheld. (50 queries)" in rule(first, "max_group_regression").text
    second = verdict(figures(VALUES - change), figures(VALUES), groups=names)
    assert "worst, \u2068\u05d0\u05d1\u2069 (50 queries)" in rule(second, "max_group_regression").text


def test_a_decision_is_read_back_as_it_was_written(tmp_path):
    decision = verdict(figures(np.nan), figures(VALUES), GateConfig(max_size_mb=1))
    decision.save(tmp_path / "decision.json")
    assert Decision.load(tmp_path / "decision.json") == decision
    assert json.loads((tmp_path / "decision.json").read_text())["passed"] is False


def test_a_decision_that_contradicts_its_rules_is_refused(tmp_path):
    file = tmp_path / "decision.json"
    value = verdict(figures(VALUES), rules=GateConfig(min_recall_at_1=0.9)).model_dump(mode="json")
    file.write_text(json.dumps({**value, "passed": True}))
    with pytest.raises(InvalidInput, match=r"decision\.json is damaged: .*contradict"):
        Decision.load(file)


def test_a_report_of_another_release_or_of_other_data_is_refused():
    report = make_report()
    check_belong_together(report, report.release, report.data)
    with pytest.raises(InvalidInput, match=f"report is of release {report.release}.*its manifest was changed"):
        check_belong_together(report, "0" * 16, report.data)
    with pytest.raises(InvalidInput, match="of other data"):
        check_belong_together(report, report.release, report.data.model_copy(update={"rev": "1" * 40}))


def test_only_the_release_that_passed_is_registered():
    passed, refused = verdict(figures(VALUES)), verdict(figures(VALUES), rules=GateConfig(min_recall_at_1=0.9))
    check_decided(passed, "r" * 16)
    with pytest.raises(InvalidInput, match="The decision is of release"):
        check_decided(passed, "0" * 16)
    with pytest.raises(Conflict, match="The gate refused") as caught:
        check_decided(refused, "r" * 16)
    assert "Recall@1 is 0.8000" in caught.value.hint


def test_superiority_is_asked_if_the_setting_says_so():
    swing = np.where(LABELS % 2, 0.02, 0.04)
    superior = GateConfig(comparison="superior")
    assert verdict(figures(VALUES + swing), figures(VALUES), superior).passed
    assert failed(verdict(figures(VALUES), figures(VALUES), superior)) == ["comparison"]


def test_a_drop_that_chance_explains_is_no_regression_of_a_group():
    random = np.random.default_rng(1)
    noise = random.normal(0, 0.2, 100)
    noise -= np.bincount(LABELS, weights=noise)[LABELS] / 10  # every class's mean is 0
    noise[LABELS == 7] -= 0.1
    decision = verdict(figures(VALUES + noise), figures(VALUES))
    assert "class 7 (10 queries), is -0.1000" in rule(decision, "max_group_regression").text
    assert "max_group_regression" not in failed(decision)


def test_memory_above_its_budget_or_not_measured_is_refused():
    rules = GateConfig(max_memory_mb=900)
    assert verdict(figures(VALUES), rules=rules, memory_mb=900).passed
    decision = verdict(figures(VALUES), rules=rules, memory_mb=900.1)
    assert failed(decision) == ["max_memory_mb"]
    assert decision.refused == (
        "A process that answers queries takes 900.1 MiB of memory; at most 900.0 MiB of memory is allowed: NOT held.",
    )
    assert failed(verdict(figures(VALUES), memory_mb=math.nan)) == ["max_memory_mb"]


def accepted(value, lower, upper, rate="0.01"):
    measured = {"value": value, "lower": lower, "upper": upper}
    rates = {"eer": None, "true_accept_at": {}, "curve": ()}
    threshold = {"threshold": 0.5, "false_accept": measured, "true_accept": {"value": 0.9, "lower": 0.8, "upper": 1.0}}
    return AcceptFigures.model_validate(
        {"genuine": 9, "impostors": 9, "candidate": rates, "untrained": rates, "thresholds": {rate: threshold}}
    )


def test_a_stated_rate_must_be_near_the_interval_of_the_measured_one_and_the_worst_threshold_is_named():
    given = {"verification": accepted(0.03, 0.005, 0.06), "identification": accepted(0.2, 0.11, 0.3)}
    assert verdict(figures(VALUES), accepted=given).passed
    decision = verdict(figures(VALUES), rules=GateConfig(max_calibration_error=0.05), accepted=given)
    assert failed(decision) == ["max_calibration_error"]
    assert rule(decision, "max_calibration_error").figure == pytest.approx(0.1)
    assert "that of identification for a false-accept rate of 0.01" in decision.refused[0]
    alone = {"verification": given["verification"]}
    assert rule(verdict(figures(VALUES), accepted=alone), "max_calibration_error").figure == 0
    below = {"verification": accepted(0.0, 0.0, 0.002)}  # stricter than it states is an error too
    assert rule(verdict(figures(VALUES), accepted=below), "max_calibration_error").figure == pytest.approx(0.008)


def detection(ap50):
    figure = {"value": ap50, "lower": 0, "upper": 1}
    return DetectionFigures.model_validate({"scenes": 9, "boxes": 30, "ap50": figure, "ap50_unlabelled": figure, "points": ()})


def test_detection_below_its_floor_is_refused_and_so_is_a_release_that_does_not_detect_where_a_floor_is_set():
    floor = GateConfig(min_ap50=0.9)
    assert verdict(figures(VALUES), rules=floor, detection=detection(0.9)).passed
    decision = verdict(figures(VALUES), rules=floor, detection=detection(0.89))
    assert decision.refused == ("AP50 of detection is 0.8900 on 9 scenes; at least 0.9000 is asked: NOT held.",)
    assert failed(verdict(figures(VALUES), rules=floor)) == ["min_ap50"]
    assert "min_ap50" not in [each.name for each in verdict(figures(VALUES)).rules]


def scenes(found, known, count=12):
    """Scenes of ten objects, of which the candidate finds some and the champion finds some."""

    def boxes(objects, shift):
        return SceneBoxes.of([("cup", (20 * at, 0, 20 * at + 10, 10), 0.9 - 0.001 * shift) for at in objects])

    truth = [boxes(range(10), 0) for _ in range(count)]
    one, other = ([boxes(range(found(row)), row) for row in range(count)] for found in (found, known))
    return PairedScenes(one, other, truth)


def test_a_detector_that_finds_less_than_the_champions_on_the_same_scenes_is_refused():
    worse = verdict(figures(VALUES), figures(VALUES), scenes=scenes(lambda _: 6, lambda _: 9))
    assert failed(worse) == ["max_ap50_regression"]
    assert "AP50 of detection is -0.3000 from the champion's, demo version 3 trained on demo@4f2c1ab" in worse.refused[0]
    assert verdict(figures(VALUES), figures(VALUES), scenes=scenes(lambda _: 9, lambda _: 9)).passed
    better = verdict(figures(VALUES), figures(VALUES), scenes=scenes(lambda _: 10, lambda _: 7))
    assert rule(better, "max_ap50_regression").figure == pytest.approx(0.3)
    lost = verdict(figures(VALUES), figures(VALUES), scenes=scenes(lambda _: 0, lambda _: 9))
    assert failed(lost) == ["max_ap50_regression"]


def test_as_good_on_the_mean_is_refused_where_scenes_vary_so_much_that_a_regression_is_possible():
    swing = scenes(lambda row: 10 if row % 2 else 4, lambda row: 4 if row % 2 else 10)
    decision = verdict(figures(VALUES), figures(VALUES), scenes=swing)
    assert failed(decision) == ["max_ap50_regression"]
    assert rule(decision, "max_ap50_regression").figure < -0.2


def test_a_single_scene_shows_nothing_and_refuses_nothing():
    decision = verdict(figures(VALUES), figures(VALUES), scenes=scenes(lambda _: 1, lambda _: 9, count=1))
    assert decision.passed
    assert "one scene alone" in rule(decision, "max_ap50_regression").text
