import socket

import pytest
import timm
import torch

from model.errors import InvalidInput, Unavailable
from model.networks import trunk as trunk_module
from model.networks.trunk import Trunk, check_trunk, make_trunk
from model.networks.trunk_names import LITE0, check_trunk_name, trunk_names


def test_a_trunk_gives_the_two_last_maps():
    trunk = Trunk("test_resnet").eval()
    shallow, deep = trunk(torch.zeros(2, 3, 64, 64))
    assert (trunk.channels, trunk.strides) == ((192, 96), (16, 32))
    assert shallow.shape == (2, 192, 4, 4)
    assert deep.shape == (2, 96, 2, 2)


@pytest.mark.parametrize(
    "name",
    ["nonsense", "", "model.networks.trunk.Trunk", "hf-hub:somebody/something", "local-dir:/", "https://127.0.0.1/x", "../trunk"],
)
def test_an_unknown_trunk_is_one_line_and_nothing_is_fetched(name, monkeypatch):
    def refused(*_args, **_kwargs):
        raise AssertionError("an address was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    with pytest.raises(InvalidInput, match="There is no trunk") as caught:
        make_trunk(name, "none")
    assert "\n" not in str(caught.value)
    assert "model.trunk" in caught.value.hint


def test_a_trunk_without_installed_weights_is_one_line_that_says_what_to_set():
    with pytest.raises(InvalidInput, match="No installed package holds weights for test_resnet") as caught:
        make_trunk("test_resnet", "offline")
    assert "model.weights=none" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_missing_weights_package_is_one_line_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(trunk_module, "LITE0_PACKAGE", "no_such_package")
    with pytest.raises(InvalidInput, match="no_such_package is not installed") as caught:
        make_trunk(LITE0, "offline")
    assert "make setup" in caught.value.hint


def test_a_hub_that_cannot_be_reached_is_worth_another_try(monkeypatch):
    real = timm.create_model

    def create(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no route")
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(trunk_module.timm, "create_model", create)
    with pytest.raises(Unavailable, match="cannot be downloaded") as caught:
        make_trunk("test_resnet", "hub")
    assert caught.value.retry


@pytest.mark.parametrize(
    ("name", "stride", "last_frozen", "first_trained"),
    [
        ("test_efficientnet", 8, "blocks.2.", "blocks.3."),
        ("test_efficientnet", 2, "blocks.0.", "blocks.1."),
        ("test_resnet", 8, "layer2.", "layer3."),
        ("convnext_atto", 8, "stages_1.", "stages_2."),
        ("test_efficientnet", 0, None, "conv_stem."),
        ("test_efficientnet", 32, "blocks.4.", None),
    ],
)
def test_layers_up_to_a_stride_are_frozen(name, stride, last_frozen, first_trained):
    """Of the maps, those of the frozen layers have no gradient, and those after them have one."""
    trunk = make_trunk(name, "none")
    trunk.freeze_early(stride)
    frozen = [key for key, parameter in trunk.body.named_parameters() if not parameter.requires_grad]
    trained = [key for key, parameter in trunk.body.named_parameters() if parameter.requires_grad]
    assert (frozen[-1] if frozen else "").startswith(last_frozen or "")
    assert (trained[0] if trained else "").startswith(first_trained or "")
    assert bool(frozen) == (last_frozen is not None)
    maps = trunk.body(torch.zeros(1, 3, 64, 64))
    strides = trunk.body.feature_info.reduction()
    assert [found.requires_grad for found in maps] == [each > stride for each in strides]


def test_random_weights_are_those_of_the_seed():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(torch.cat([value.flatten() for value in make_trunk("test_efficientnet", "none").parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_offline_weights_are_a_network_that_was_trained():
    """Every tensor in its place: the whole network then tells apart what an untrained one does not."""
    torch.manual_seed(0)
    loaded, random = make_trunk(LITE0, "offline").state_dict(), make_trunk(LITE0, "none").state_dict()
    assert loaded.keys() == random.keys()
    means = {name: value for name, value in loaded.items() if name.endswith("running_mean")}
    assert means
    assert all(value.abs().max() > 0 for value in means.values())
    assert all(torch.isfinite(value).all() for value in loaded.values())
    variances = [value for name, value in loaded.items() if name.endswith("running_var")]
    assert all((value >= 0).all() for value in variances)
    assert not any(torch.equal(loaded[name], random[name]) for name in loaded if name.endswith("conv_pw.weight"))


def test_an_unknown_trunk_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidInput, match="no trunk tf_efficientnet_lite00") as caught:
        make_trunk("tf_efficientnet_lite00", "none")
    assert caught.value.hint.startswith("Did you mean tf_efficientnet_lite0?")


def test_the_names_that_are_known_without_torch_are_those_that_timm_has():
    known = trunk_names()
    assert set(timm.list_models()) <= known
    assert [name for name in known if not timm.is_model(name)] == []


@pytest.mark.parametrize("check", [check_trunk, check_trunk_name])
@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnet81", "none", "There is no trunk resnet81"),
        ("os.system", "none", "There is no trunk os.system"),
        ("resnet18", "offline", "No installed package holds weights for resnet18"),
    ],
)
def test_an_order_is_refused_as_its_run_would_be(check, name, weights, message):
    with pytest.raises(InvalidInput, match=message):
        check(name, weights)
    check("test_resnet.r160_in1k", "none")
    check(LITE0, "offline")
