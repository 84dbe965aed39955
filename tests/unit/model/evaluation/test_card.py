import re
import shlex

import pytest

from model.config import ModelConfig, TrainConfig, load_config
from model.evaluation.card import NOT_STATED, ROWS, render_card, statements
from tests.support.releases import make_pin

HOSTILE = "<script>alert(1)</script> | [click](javascript:alert(1)) `rm`\n# Heading"


def row(map_at_r, untrained, queries=4, recall=0.5):
    intervals = {"recall_at_1_interval": [0.25, 0.75], "map_at_r_interval": [map_at_r, map_at_r]}
    return {"queries": queries, "recall_at_1": recall, "map_at_r": map_at_r, "untrained": untrained, **intervals}


NONE = dict.fromkeys(row(0, 0)) | {"queries": 0}


def report(**changes):
    figures = {"recall_at_1": 0.75, "recall_at_1_interval": [0.5, 0.9], "map_at_r": 0.4, "map_at_r_interval": [0.3, 0.5]}
    return {
        **figures,
        "untrained": {**figures, "map_at_r": 0.25},
        **{"queries": 1200, "queries_without_match": 3, "classes": 40},
        "gain": {"map_at_r": 0.15, "interval": [0.1, 0.2]},
        "by_class": {"oat": row(0.2, 0.3), "rye": row(0.6, 0.2), "lone": NONE},
        "by_group": {},
        "bootstrap": {"samples": 100, "confidence": 0.95, "seed": 0, "drawn": "classes"},
        "data": {**make_pin().to_json(), "path": "grains"},
        "settings": {"model": ModelConfig().model_dump(), "train": TrainConfig().model_dump(), "evaluate": {"samples": 1000}},
        **{"release": "r" * 16, "embedding_space_id": "s" * 16, "code_revision": "0.1+abc", "latency_ms": 12.5, "size_mb": 20.0},
        "gallery": {"samples": 5000, "classes": 81},
        "splits": {"train": {"classes": 33, "samples": 2000}, "test": {"classes": 40, "samples": 1200}},
        "calibration": {
            "verify": {"0.01": {"threshold": 0.5, "true_accept_rate": 0.873}},
            "identify": {"0.01": {"threshold": 0.625}},
        },
        "network": {
            "dimensions": 512,
            "heads": {"global": {"tap": "deep", "dimensions": 384}},
            "losses": [{"name": "proxy_anchor", "on": "merged", "weight": 0.03}],
        },
        "licences": {"weights": "Apache-2.0", "code": "Apache-2.0"},
        **changes,
    }


def limits(**changes) -> str:
    return "\n".join(statements(report(**changes))["Out of scope and limits"])


def test_the_uses_are_what_was_measured():
    uses = "\n".join(statements(report())["Intended use"])
    assert "among the 5,000 of 81 classes in its gallery" in uses
    assert "tested on 40 such classes" in uses
    assert "above a similarity of 0.500, at most 1 % of the unlike pairs" in uses
    assert "87.3 % of the like ones" in uses


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
        ({"gain": {"map_at_r": -0.2, "interval": [-0.3, -0.1]}}, "Training hurt"),
        ({"gain": {"map_at_r": 0.1, "interval": [-0.1, 0.3]}}, "Training made no clear difference"),
        ({"classes": 6}, "With only 6 test classes"),
        ({"calibration": {"verify": {}, "identify": {}, "pairs": 0}}, "No threshold was calibrated"),
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
    headings = re.findall(r"^## (.*)$", render_card("grains", report()), re.MULTILINE)
    assert headings == [
        *("Model details", "Intended use", "Out of scope and limits", "Licences"),
        *("Data", "Metrics", "Metrics by class", "Training", "To make it again"),
    ]


def test_every_figure_stands_beside_the_untrained_trunks_with_its_interval():
    card = render_card("grains", report())
    assert "| MAP@R | 0.400 [0.300, 0.500] | 0.250 [0.300, 0.500] |" in card
    assert "| oat | 4 | 0.500 [0.250, 0.750] | 0.200 [0.200, 0.200] | 0.300 |\n| rye |" in card
    assert "lone" not in card  # no query of it could be answered
    assert "| train | 33 | 2000 |\n| test | 40 | 1200 |" in card


def test_of_many_groups_the_worst_stand_in_the_card_and_the_rest_is_counted():
    many = {f"group {number:02}": row(number / 100, 0.0) for number in range(ROWS + 5)}
    card = render_card("grains", report(by_group=many))
    assert card.count("\n| group ") == ROWS + 1  # and the table's head
    assert "5 better ones are in report.json" in card


def test_a_licence_that_nobody_stated_is_not_guessed():
    assert NOT_STATED.replace("_", r"\_") in render_card("grains", report())
    stated = report(data={**make_pin().to_json(), "licence": "CC BY 4.0"})
    assert "- The data: CC BY 4.0." in render_card("grains", stated)
    assert "terms of their own" in render_card("grains", stated)


def test_names_that_are_markup_are_shown_letter_by_letter():
    card = render_card(HOSTILE, report(by_group={HOSTILE: row(0.1, 0.2)}, licences={"weights": HOSTILE, "code": HOSTILE}))
    assert "<script>" not in re.sub(r"\\<", "", card)
    assert "](javascript" not in card.replace(r"\]", "")
    assert len(re.findall(r"^# ", card, re.MULTILINE)) == 1
    table = next(line for line in card.splitlines() if "script" in line and line.startswith("| "))
    assert len(re.findall(r"(?<!\\)\|", table)) == 6


def test_the_command_that_makes_it_again_gives_the_very_settings_back():
    model, training = ModelConfig(image_size=64, trunk="resnet18"), TrainConfig(epochs=3, learning_rate=5e-5)
    settings = {"model": model.model_dump(), "train": training.model_dump(), "evaluate": {"samples": 200}}
    card = render_card("grains", report(settings=settings))
    words = shlex.split(card.split("```bash\n")[1].split("\n```")[0])
    assert words[:4] == ["glocal", "run", "--data", f"grains@{'0' * 40}"]
    config = load_config(None, words[5::2])
    assert (config.model, config.train, config.evaluate.samples) == (model, training, 200)
