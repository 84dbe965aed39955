"""A network on disk: how to build it, and its weights in safetensors. No pickle."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.errors import InvalidInput
from model.networks.heads import MultiHead, RetrievalNetwork
from model.networks.methods import get_method
from model.networks.trunk import Trunk


@dataclass(frozen=True)
class NetworkSpec:
    """How to build a network before its weights are filled in: a release's config.json."""

    method: str
    trunk: str
    image_size: int

    def build(self) -> RetrievalNetwork:
        """The network with random weights, in evaluation mode."""
        trunk = Trunk(self.trunk)
        return RetrievalNetwork(trunk, MultiHead(trunk.channels, get_method(self.method))).eval()


def save_network(network: RetrievalNetwork, file: Path) -> None:
    """Write a network's weights to a safetensors file."""
    save_file({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}, file)


def load_network(spec: NetworkSpec, file: Path) -> RetrievalNetwork:
    """Build a network and fill in its weights.

    Raises:
        InvalidInput: The file is no safetensors file (a pickle, say), or does not fit the network.
    """
    network = spec.build()
    try:
        network.load_state_dict(load_file(file))
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{file.name} does not hold the weights of this network.", str(error).splitlines()[0][:200]) from error
    return network
