import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.errors import InvalidInput, NotFound
from model.networks.architecture import Architecture, HeadSpec
from model.networks.methods import ABLATIONS, METHODS
from model.networks.stored import NetworkSpec, load_network, save_network

TRUNK = "test_efficientnet"


def spec_of(method: str) -> NetworkSpec:
    return NetworkSpec(method, TRUNK, 32, (METHODS | ABLATIONS)[method].architecture)


SPEC = spec_of("multi_head")


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
    save_network(network, SPEC, tmp_path)
    assert NetworkSpec.load(tmp_path) == SPEC
    loaded = load_network(SPEC, tmp_path)
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
        load_network(SPEC, tmp_path)
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
        load_network(SPEC, tmp_path)
    assert "\n" not in str(caught.value)


def test_offsets_beyond_the_file_are_refused(tmp_path):
    header = b'{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    (tmp_path / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InvalidInput, match="does not hold the weights"):
        load_network(SPEC, tmp_path)


def test_weights_of_another_network_are_refused(network, tmp_path):
    state = dict(network.state_dict())
    state.pop("heads.heads.local.projection.bias")
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInput, match="does not hold the weights"):
        load_network(SPEC, tmp_path)
    other = spec_of("multi_head_paper")
    save_network(other.build(), other, tmp_path)
    with pytest.raises(InvalidInput, match="does not hold the weights"):
        load_network(SPEC, tmp_path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises((InvalidInput, NotFound), match=r"weights\.safetensors"):
        load_network(SPEC, tmp_path)


@pytest.mark.parametrize("name", sorted(METHODS | ABLATIONS))
def test_a_specification_comes_back_from_json_as_it_was(name):
    spec = spec_of(name)
    assert NetworkSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_network_is_built_as_it_was_trained_whatever_its_method_is_called_today():
    heads = {"only": HeadSpec("deep", 8, pooling="max")}
    stored = NetworkSpec("a method of old", TRUNK, 32, Architecture(heads)).to_json()
    built = NetworkSpec.from_json(stored).build().heads
    assert [name for name, _ in built.named_heads()] == ["only"]
    assert built.head("only").projection.out_features == 8


def test_a_specification_that_names_nothing_is_refused():
    with pytest.raises(InvalidInput, match="There is no"):
        NetworkSpec("multi_head", "os.system", 32, SPEC.architecture).build()


@pytest.mark.parametrize("change", [{"attention": "os.system"}, {"pooling": "none"}, {"dimensions": "many"}, {"dimensions": -1}])
def test_heads_that_cannot_be_built_are_refused(change):
    tree = SPEC.to_json()
    tree["architecture"]["heads"]["local"] |= change
    with pytest.raises(InvalidInput, match="heads that cannot be built"):
        NetworkSpec.from_json(tree).build()


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"method": "multi_head", "trunk": TRUNK, "image_size": 32},
        SPEC.to_json() | {"architecture": None},
        SPEC.to_json() | {"architecture": {"heads": [], "autoencoder": False}},
        SPEC.to_json() | {"architecture": {"heads": {"global": {"depth": 3}}, "autoencoder": False}},
        SPEC.to_json() | {"architecture": SPEC.to_json()["architecture"] | {"tail": 1}},
        SPEC.to_json() | {"loader": "os.system"},
        SPEC.to_json() | {"image_size": "large"},
    ],
    ids=["empty", "no architecture", "null", "a list of heads", "of a head", "of the architecture", "unknown", "no number"],
)
def test_a_configuration_that_is_no_specification_is_refused(tree):
    with pytest.raises(InvalidInput, match="does not describe a network"):
        NetworkSpec.from_json(tree)


def test_the_weights_of_the_merged_vector_are_stored_and_restored(network, tmp_path):
    with torch.no_grad():
        network.heads.weights.copy_(torch.tensor([1.0, 0.7, 0.35]))
    save_network(network, SPEC, tmp_path)
    loaded = load_network(SPEC, tmp_path)
    assert loaded.heads.weights.tolist() == pytest.approx([1.0, 0.7, 0.35])
    with torch.inference_mode():
        images = torch.randn(2, 3, 32, 32)
        assert torch.equal(loaded(images).merged, network(images).merged)
        network.heads.weights.fill_(1.0)
        assert not torch.allclose(loaded(images).merged, network(images).merged)


def test_a_shared_projection_comes_back_shared_and_says_the_same(tmp_path):
    torch.manual_seed(1)
    spec = spec_of("abe")
    network, images = spec.build(), torch.randn(2, 3, 32, 32)
    save_network(network, spec, tmp_path)
    loaded = load_network(spec, tmp_path)
    assert len({id(head.projection) for _, head in loaded.heads.named_heads()}) == 1
    with torch.inference_mode():
        assert torch.equal(loaded(images).merged, network(images).merged)
