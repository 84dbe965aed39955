import pytest

from benchmarks.drawn_images import draw_data
from benchmarks.training import LEAST_ROUNDS, Case, compare
from model.config import ModelConfig, TrainConfig

MODEL = ModelConfig(method="global_only", trunk="test_efficientnet", weights="none", image_size=32)


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_the_loop_and_the_bare_steps_are_both_timed(tmp_path, mode):
    config = TrainConfig(trunk=mode, warmup_epochs=0, classes_per_batch=2, device="cpu", init="random")
    found = compare(Case(mode, MODEL, config, 64), draw_data(tmp_path, 64, size=40), seconds=0)
    assert found["case"] == mode
    assert found["ours"] > 0
    assert found["rounds"] == LEAST_ROUNDS
    assert found["interval"][0] <= found["ratio"] <= found["interval"][1]
