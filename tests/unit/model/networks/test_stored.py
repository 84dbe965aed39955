import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.errors import InvalidInput, NotFound
from model.networks.stored import NetworkSpec, load_network, save_network

SPEC = NetworkSpec("multi_head", "test_efficientnet", 32)


class Trap:
    """What a pickle may do when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SPEC.build()


def test_what_was_stored_comes_back_bit_for_bit(network, tmp_path):
    save_network(network, tmp_path / "weights.safetensors")
    loaded = load_network(SPEC, tmp_path / "weights.safetensors")
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    "write", [lambda file, trap: file.write_bytes(pickle.dumps(trap)), lambda file, trap: torch.save(trap, file)]
)
def test_a_pickle_where_weights_belong_is_refused_and_nothing_executes(tmp_path, write):
    file, sprung = tmp_path / "weights.safetensors", tmp_path / "sprung"
    write(file, {"weights": Trap(sprung)})
    with pytest.raises(InvalidInput, match=r"weights\.safetensors does not hold the weights") as caught:
        load_network(SPEC, file)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 8, b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}"],
    ids=["empty", "no header", "noise", "a header of a terabyte", "no tensors"],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, data):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match="does not hold the weights") as caught:
        load_network(SPEC, file)
    assert "\n" not in str(caught.value)


def test_offsets_beyond_the_file_are_refused(tmp_path):
    header = b'{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    (tmp_path / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InvalidInput, match="does not hold the weights"):
        load_network(SPEC, tmp_path / "weights.safetensors")


def test_weights_of_another_network_are_refused(network, tmp_path):
    state = dict(network.state_dict())
    state.pop("heads.heads.local.projection.bias")
    save_file(state, tmp_path / "fewer.safetensors")
    save_network(NetworkSpec("multi_head_paper", "test_efficientnet", 32).build(), tmp_path / "other.safetensors")
    for name in ("fewer", "other"):
        with pytest.raises(InvalidInput, match="does not hold the weights"):
            load_network(SPEC, tmp_path / f"{name}.safetensors")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises((InvalidInput, NotFound), match=r"none\.safetensors"):
        load_network(SPEC, tmp_path / "none.safetensors")


def test_a_specification_that_names_nothing_is_refused(tmp_path):
    for spec in (NetworkSpec("nonsense", "test_efficientnet", 32), NetworkSpec("multi_head", "os.system", 32)):
        with pytest.raises(InvalidInput, match="There is no"):
            spec.build()
