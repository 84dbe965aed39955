"""The ablation's document says what the results say."""

import re

from benchmarks.ablation import PARTS, ablation_markdown
from model.networks.methods import ABLATIONS


def row(figure, difference=None, interval=None):
    found = {"map_at_r": figure, "recall_at_1": figure + 0.1, "seeds": 3}
    return found if difference is None else {**found, "difference": {"map_at_r": difference, "interval": interval}}


CHOSEN = {"whole_heads": False, "learning_rate": 3e-4, "epochs": 1, "weights": {"global": 1.0, "local": 0.7}}
RESULTS = {
    "command": "python -m benchmarks.methods --data grocery --ablation",
    "settings": {"train": {"trunk": "frozen", "epochs": 12}, "model": {"trunk": "tf_efficientnet_lite0", "image_size": 160}},
    "data": {
        "grocery": {
            "test": {"queries": 2370, "classes": 40},
            "methods": {
                "untrained": row(0.3),
                "multi_head": row(0.4) | {"chosen": CHOSEN},
                "global_only": row(0.3812, -0.0188, [-0.03, -0.01]),
                "init_random": row(0.41, 0.01, [0.002, 0.018]),
                "local_average": row(0.4, 0.0003, [-0.005, 0.006]),
                "loss_on_heads_only": {"error": "The loss diverged."},
            },
        }
    },
}
TEXT = ablation_markdown(RESULTS)


def test_every_ablation_belongs_to_one_part():
    variants = [variant for part in PARTS for variant in part.variants]
    assert sorted(variants) == sorted(ABLATIONS)


def test_the_tables_numbers_are_those_of_the_results():
    assert "| `multi_head` | 0.4000 | 0.5000 |  |" in TEXT
    assert "| `global_only` | 0.3812 | 0.4812 | -1.88 [-3.00, -1.00] |" in TEXT
    assert "| `loss_on_heads_only` | - | - | diverged |" in TEXT
    assert "| `attention_none` | - | - | not run |" in TEXT


def test_each_part_says_what_it_is_worth_and_whether_the_interval_excludes_zero():
    assert re.search(
        r"`global_only`\), MAP@R changes on grocery by -1\.88 points \[-3\.00, -1\.00\], below zero: the part pays", TEXT
    )
    assert re.search(r"`init_random`\), .* \+1\.00 points \[\+0\.20, \+1\.80\], above zero: the change is better", TEXT)
    assert re.search(r"`local_average`\), .* \+0\.03 points \[-0\.50, \+0\.60\], zero included: no clear difference", TEXT)
    assert all(f"**{part.title}.**" in TEXT for part in PARTS)


def test_what_selection_chose_stands_beside_the_figures():
    assert "| `multi_head` | residuals, 0.0003, 1 epoch; global 1, local 0.7 |" in TEXT
    assert "| `loss_on_heads_only` | - |" in TEXT


def test_each_part_names_the_command_that_made_it():
    assert TEXT.count(RESULTS["command"]) == len(PARTS) + 1
