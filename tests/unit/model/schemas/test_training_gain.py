"""What the console says of a training, by hand."""

import pytest

from model.schemas.training_gain import TrainingGain
from tests.support.reports import make_training


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (make_training(), "best epoch 2 of 3, held-out MAP@R untrained 0.100, init 0.300, best 0.450"),
        (
            make_training(0.4, 0.3, best=0),
            "the init was kept: no epoch was better (of 1), held-out MAP@R untrained 0.100, init 0.400",
        ),
        (make_training(0.0, 0.0, best=0, validation_classes=0), "the init was kept: there are no held-out classes"),
    ],
    ids=["best", "kept", "no validation"],
)
def test_a_training_is_one_line_with_the_untrained_trunk(training, said):
    line = str(TrainingGain.of(training))
    assert line.startswith(said)
    assert "chance" not in line


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        (make_training(validation_classes=4), "there are only 4 held-out classes (fewer than 5)"),
        (make_training(0.985, 0.99, best=1), "validation is saturated at 0.985 (0.98 or more)"),
        (
            make_training(1.0, 0.9, best=0, validation_classes=3),
            "there are only 3 held-out classes (fewer than 5) and validation is saturated at 1.000 (0.98 or more)",
        ),
    ],
    ids=["few", "easy", "both"],
)
def test_why_epochs_cannot_be_compared_is_stated(training, reason):
    assert str(TrainingGain.of(training)).endswith(f"; {reason}, so a difference between epochs may be chance")


def test_a_record_of_an_earlier_release_is_shown_without_what_it_lacks():
    old = TrainingGain.model_validate({"epochs": 9, "best_epoch": 3, "init": 0.5, "best": 0.625})
    assert str(old) == "best epoch 3 of 9, held-out MAP@R init 0.500, best 0.625"
