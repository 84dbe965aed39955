import pickle

import pytest
import torch
from torch import nn

from model.errors import InvalidInput
from model.training.checkpoint import Counters, load_checkpoint, save_checkpoint

COUNTERS = Counters(
    epoch=1,
    step=2,
    loss=0.1 + 0.2,
    losses=(1e-17,),
    seconds=(0.125,),
    map_at_r=((1 / 3, 0.5), (2 / 3, 1.0)),
    margin=((-0.1, 0.0), (0.1, 1e-9)),
    untrained=(1 / 7, 0.0),
)


def made(seed: int, steps: int = 0) -> tuple[dict[str, nn.Module], torch.optim.Optimizer]:
    """Two modules, one with whole-number state, and their optimiser after a few steps."""
    torch.manual_seed(seed)
    modules = {"heads": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), "loss": nn.Linear(4, 2, bias=False)}
    groups = [{"params": list(module.parameters()), "role": name} for name, module in modules.items()]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    for _ in range(steps):
        step(modules, optimizer)
    return modules, optimizer


def step(modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    modules["loss"](modules["heads"](torch.randn(8, 3))).square().sum().backward()
    optimizer.param_groups[0]["lr"] *= 0.9
    optimizer.step()


def state(modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in values.items()}
    return {name: value.clone() for name, value in tensors.items()}


@pytest.mark.parametrize("steps", [0, 3])
def test_a_round_trip_is_exact_to_the_bit(tmp_path, steps):
    modules, optimizer = made(0, steps)
    before = state(modules, optimizer)
    save_checkpoint(tmp_path / "last.safetensors", modules, optimizer, COUNTERS, "key")
    others, fresh = made(1)
    assert load_checkpoint(tmp_path / "last.safetensors", others, fresh, "key") == COUNTERS
    after = state(others, fresh)
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) and value.dtype == before[name].dtype for name, value in after.items())
    kept = ("lr", "betas", "eps", "weight_decay", "role")
    for one, other in zip(optimizer.param_groups, fresh.param_groups, strict=True):
        assert [one[name] for name in kept[:1]] == [other[name] for name in kept[:1]]
        assert tuple(one["betas"]) == tuple(other["betas"])
        assert one["role"] == other["role"]


def test_going_on_from_a_checkpoint_is_going_on(tmp_path):
    modules, optimizer = made(0, 2)
    save_checkpoint(tmp_path / "last.safetensors", modules, optimizer, COUNTERS, "key")
    others, fresh = made(1)
    load_checkpoint(tmp_path / "last.safetensors", others, fresh, "key")
    for both in ((modules, optimizer), (others, fresh)):
        torch.manual_seed(7)
        step(*both)
        step(*both)
    one, other = state(modules, optimizer), state(others, fresh)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_checkpoint_of_other_data_or_settings_is_not_resumed_and_changes_nothing(tmp_path):
    save_checkpoint(tmp_path / "last.safetensors", *made(0, 2), COUNTERS, "one")
    modules, optimizer = made(1, 1)
    before = state(modules, optimizer)
    assert load_checkpoint(tmp_path / "last.safetensors", modules, optimizer, "other") is None
    assert all(torch.equal(value, before[name]) for name, value in state(modules, optimizer).items())


def test_no_checkpoint_is_a_start_from_nothing(tmp_path):
    assert load_checkpoint(tmp_path / "none.safetensors", *made(0), "key") is None


def test_a_folder_in_place_of_a_checkpoint_is_named_before_anything_is_trained(tmp_path):
    (tmp_path / "last.safetensors").mkdir()
    with pytest.raises(InvalidInput, match=r"last\.safetensors is a folder") as caught:
        load_checkpoint(tmp_path / "last.safetensors", *made(0), "key")
    assert "Move it away" in caught.value.hint


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"\xff" * len(data), lambda data: pickle.dumps(Trap())],
    ids=["empty", "cut", "noise", "pickle"],
)
def test_a_damaged_checkpoint_is_one_line_that_says_what_to_do(tmp_path, damage):
    file = tmp_path / "last.safetensors"
    save_checkpoint(file, *made(0, 1), COUNTERS, "key")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InvalidInput, match=r"last\.safetensors is no checkpoint") as caught:
        load_checkpoint(file, *made(1), "key")
    assert "Delete it" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_does_not_fit_the_network_is_refused(tmp_path):
    file = tmp_path / "last.safetensors"
    save_checkpoint(file, *made(0, 1), COUNTERS, "key")
    modules, optimizer = made(1)
    modules["heads"] = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(InvalidInput, match=r"last\.safetensors"):
        load_checkpoint(file, modules, optimizer, "key")


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    file = tmp_path / "last.safetensors"
    save_checkpoint(file, *made(0, 1), COUNTERS, "key")
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("model.training.checkpoint.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(file, *made(1, 1), Counters(9), "key")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]
