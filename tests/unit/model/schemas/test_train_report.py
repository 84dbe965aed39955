"""What a training report says, by hand."""

import pytest
from pydantic import ValidationError

from model.schemas.reranking import Reranking
from model.schemas.train_report import FEWEST_CLASSES, SATURATED_MAP_AT_R, Epoch, TrainReport


def report(*figures: float, best: int = 0, **changes) -> TrainReport:
    """A report whose validation MAP@R is `figures`, the init first."""
    history = tuple(Epoch(epoch=n, loss=1 / n if n else None, map_at_r=figure) for n, figure in enumerate(figures))
    settings = {"init": "whitened", "epochs_planned": len(figures) - 1, "untrained_map_at_r": 0.25}
    counts = {"validation_classes": 9, "validation_images": 90}
    return TrainReport(**{**settings, **counts, "best_epoch": best, "history": history, **changes})


def test_the_gain_is_split_into_that_of_the_init_and_that_of_the_training():
    found = report(0.5, 0.625, 0.75, 0.7, best=2)
    assert (found.untrained_map_at_r, found.init_map_at_r, found.validation_map_at_r) == (0.25, 0.5, 0.75)
    assert (found.gain_of_init, found.gain_of_training) == (0.25, 0.25)
    said = "untrained trunk 0.2500, closed-form init 0.5000 (+0.2500), after training 0.7500 (+0.2500)"
    assert found.gain == f"MAP@R on held-out classes: {said}"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (report(0.5, 0.6, 0.7, 0.6, best=2), "best epoch 2 of 3"),
        (report(0.5, 0.6, 0.5, 0.5, best=1, epochs_planned=12), "best epoch 1 of 12, stopped after epoch 3"),
        (report(0.5, 0.4, 0.3), "the init was kept: no epoch was better than the closed-form init by more than a standard error"),
        (
            report(0.5, 0.4, init="random"),
            "the init was kept: no epoch was better than the random init by more than a standard error",
        ),
        (report(0.5), "no epochs were planned: the closed-form init is kept"),
        (
            report(0.0, 0.0, validation_classes=0, validation_images=0),
            "the init was kept: without held-out classes no epoch can be compared with the closed-form init",
        ),
    ],
    ids=["best", "patience", "kept", "random", "no epochs", "no validation"],
)
def test_the_outcome_says_which_epoch_is_kept(found, said):
    assert found.outcome == said
    assert found.kept_init == (found.best_epoch == 0)


def test_the_gain_of_training_has_its_interval():
    found = report(0.5, 0.625, best=1, gain_interval=(-0.05, 0.25))
    assert found.gain.endswith("after training 0.6250 (+0.1250 [-0.0500, +0.2500], zero included)")
    assert report(0.5, 0.625, best=1, gain_interval=(0.05, 0.25)).gain.endswith("(+0.1250 [+0.0500, +0.2500])")
    assert report(0.5, 0.4, gain_interval=(0.0, 0.0)).gain.endswith("(+0.0000 [+0.0000, +0.0000])"), "no steps are kept"


def test_a_network_that_is_worse_than_the_untrained_trunk_is_warned_of():
    figures = "(MAP@R 0.5000 and 0.7500)"
    said = f"On held-out classes the network is worse than the untrained trunk {figures}, as happens with few images."
    worse = report(0.5, 0.4, untrained_map_at_r=0.75)
    assert worse.summary[-1] == worse.warning == f"{said} Add classes and images, or try train.init=random."
    assert report(0.5, 0.4, untrained_map_at_r=0.75, init="random").warning == f"{said} Add classes and images."
    both = report(0.5, 0.4, untrained_map_at_r=0.75, validation_classes=4).warning
    assert both.startswith(f"{said} Add classes and images, or try train.init=random. Validation is saturated: ")
    assert report(0.5, 0.4, untrained_map_at_r=0.5).warning == ""


def test_without_held_out_classes_there_are_no_figures_of_them():
    found = report(0.0, 0.0, validation_classes=0, validation_images=0)
    assert found.gain == ""
    assert not [name for name in found.figures if "map_at_r" in name or "gain" in name]
    assert "train or validate" in found.warning


CHOSEN = {"learning_rate": 3e-4, "whole_heads": False, "merge_weights": {"global": 1.0, "local": 0.35}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"folds": 3},
            "chosen on 3 class-disjoint folds by MAP@R: whitened init, learning rate 0.0003, "
            "residuals of the projections alone trained, without attention, "
            "head weights global 1, local 0.35; then 1 epoch on all classes",
        ),
        (
            {"folds": 1, "whole_heads": True, "criterion": "margin"},
            "chosen on the validation classes by margin: whitened init, learning rate 0.0003, whole heads trained, "
            "head weights global 1, local 0.35",
        ),
        ({"validation_classes": 0}, ""),
        ({"learning_rate": None}, ""),
    ],
    ids=["folds", "validation classes", "nothing held out", "an old record"],
)
def test_the_selection_is_a_sentence(changes, said):
    found = report(0.5, 0.6, best=1, **{**CHOSEN, **changes})
    assert found.selection == said
    assert found.summary[0] == (said or found.outcome)


def test_of_no_epochs_the_selection_says_that_the_init_is_computed_on_all_classes():
    assert report(0.5, 0.4, folds=3, **CHOSEN).selection.endswith("; then the init alone on all classes")


def test_where_map_at_r_is_saturated_the_margins_are_stated_and_it_is_no_warning():
    history = tuple(Epoch(epoch=number, map_at_r=1.0, margin=margin) for number, margin in enumerate((0.25, 0.5)))
    found = report(1.0, 1.0, best=1, criterion="margin", history=history)
    assert found.gain.endswith("(+0.0000); MAP@R is saturated, so margins were compared: init 0.250, after training 0.500")
    assert (found.saturated, found.warning) == (False, "")


def test_validation_classes_are_saturated_from_the_stated_figure_on():
    below, at = report(SATURATED_MAP_AT_R - 1e-6, 1.0, best=1), report(SATURATED_MAP_AT_R, 1.0, best=1)
    assert (below.saturated, below.warning) == (False, "")
    assert at.saturated
    assert at.warning.startswith("Validation is saturated: the init reaches MAP@R 0.9800")
    assert at.summary == (at.outcome, at.gain, at.warning)
    assert below.summary == (below.outcome, below.gain)


@pytest.mark.parametrize(
    ("classes", "said"), [(0, "There are no held-out classes"), (4, "the number of held-out classes is 4 (fewer than 5)")]
)
def test_too_few_validation_classes_are_saturated_as_well(classes, said):
    found = report(0.5, 0.6, best=1, validation_classes=classes)
    assert found.saturated
    assert said in found.warning
    assert "dd classes" in found.warning, "it says what to do"
    assert not report(0.5, 0.6, best=1, validation_classes=FEWEST_CLASSES).saturated


def test_what_is_stored_is_read_again_with_all_that_is_computed():
    found = report(0.5, 0.6, 0.4, best=1)
    stored = found.model_dump(mode="json")
    assert stored["gain_of_training"] == pytest.approx(0.1)
    assert stored["history"][0] == {"epoch": 0, "loss": None, "map_at_r": 0.5, "margin": None, "seconds": 0.0}
    assert TrainReport.model_validate(stored) == found
    assert TrainReport.model_validate_json(found.model_dump_json()) == found


def test_a_record_of_an_earlier_release_is_read_without_what_it_lacks():
    stored = report(0.5, 0.6, best=1).model_dump(mode="json")
    for name in ("learning_rate", "whole_heads", "merge_weights", "folds", "criterion", "gain_interval"):
        del stored[name]
    for epoch in stored["history"]:
        del epoch["margin"]
    assert TrainReport.model_validate(stored) == report(0.5, 0.6, best=1)


def test_the_json_schema_describes_every_field_that_is_stored():
    properties = TrainReport.model_json_schema(mode="serialization")["properties"]
    assert properties.keys() == report(0.5).model_dump().keys()
    assert all(field.get("description") for field in properties.values())


def test_the_figures_are_numbers():
    figures = report(0.99, 0.98).figures
    assert figures["kept_init"] == figures["saturated"] == 1.0
    assert figures["epochs_done"] == 1.0
    assert all(type(figure) is float for figure in figures.values())
    assert not {"history", "init"} & figures.keys()
    assert "reranks" not in figures
    assert report(0.5, 0.6, reranking=reranking(0.9)).figures["gain_of_reranking"] == 0.125
    assert report(0.5, 0.6, reranking=reranking(None)).figures["reranks"] == 0.0


@pytest.mark.parametrize("changes", [{"best_epoch": 3}, {"history": ()}, {"history": (Epoch(epoch=1, map_at_r=0.5),)}], ids=str)
def test_a_history_without_its_best_epoch_is_refused(changes):
    with pytest.raises(ValidationError):
        report(0.5, 0.6, **changes)


@pytest.mark.parametrize(
    ("asked", "trunk", "said"),
    [
        ("auto", "frozen", "the trunk is frozen, the heads alone are trained, because there is no GPU (train.trunk=auto)"),
        ("auto", "finetune", "the trunk is finetuned with the heads, because there is a GPU (train.trunk=auto)"),
        ("finetune", "finetune", "the trunk is finetuned with the heads, as train.trunk says"),
    ],
)
def test_the_report_says_whether_the_trunk_was_trained_and_why(asked, trunk, said):
    assert report(0.5, 0.6).model_copy(update={"trunk_asked": asked, "trunk": trunk}).summary[0] == said


def reranking(ratio: float | None) -> Reranking:
    figures = {"map_at_r_before": 0.5, "map_at_r": 0.625, "recall_at_1_before": 0.75, "recall_at_1": 0.8}
    return Reranking(ratio=ratio, tried_ratio=0.9, candidates=30, queries=120, gain_interval=(0.1, 0.15), **figures)


def test_the_choice_of_reranking_follows_the_gain_of_training():
    change = "MAP@R of 120 held-out queries 0.5000, re-ranked 0.6250 (+0.1250 [+0.1000, +0.1500])"
    taken, left = report(0.5, 0.6, best=1, reranking=reranking(0.9)), report(0.5, 0.6, best=1, reranking=reranking(None))
    assert taken.summary[-2:] == (taken.gain, f"the first 30 answers are re-ranked by local features, ratio 0.9: {change}")
    assert left.summary[-1].startswith("answers are not re-ranked by local features")
    assert left.summary[-1].endswith(change)


def test_a_report_from_before_reranking_is_read():
    stored = report(0.5, 0.6, best=1).model_dump(mode="json")
    del stored["reranking"]
    found = TrainReport.model_validate(stored)
    assert found.reranking is None
    assert found.summary[-1] == found.gain
