"""A network in the folder of a checkpoint or a release: its description in JSON and its weights in safetensors. No pickle."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.errors import InvalidInput
from model.files import read_json, write_json
from model.networks.architecture import CONFIG, WEIGHTS, Architecture, HeadSpec
from model.networks.heads import MultiHead, RetrievalNetwork
from model.networks.trunk import Trunk


@dataclass(frozen=True)
class NetworkSpec:
    """The description of a network without its weights.

    The architecture is stored in full, so a release is built as it was trained even if the method has changed since.
    """

    method: str
    trunk: str
    image_size: int
    architecture: Architecture

    @classmethod
    def load(cls, folder: Path) -> "NetworkSpec":
        """The description in a folder.

        Raises:
            InvalidInput: The file describes no network.
        """
        return cls.from_json(read_json(folder / CONFIG))

    def save(self, folder: Path) -> None:
        """Write the description into a folder."""
        write_json(folder / CONFIG, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The description as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> "NetworkSpec":
        """The description that `to_json` returned.

        Raises:
            InvalidInput: The value describes no network.
        """
        try:
            stored = tree["architecture"]
            heads = {str(name): HeadSpec(**spec) for name, spec in stored["heads"].items()}
            architecture = Architecture(**(stored | {"heads": heads}))
            return cls(**(tree | {"architecture": architecture, "image_size": int(tree["image_size"])}))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                "This configuration does not describe a network.", "Use the version of glocal that made it."
            ) from error

    def build(self) -> RetrievalNetwork:
        """The network with random weights, in evaluation mode.

        Raises:
            InvalidInput: There is no such trunk, attention or pooling, or a width is not valid.
        """
        trunk = Trunk(self.trunk)
        try:
            heads = MultiHead(trunk.channels, self.architecture)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InvalidInput(
                "This configuration describes heads that cannot be built.", "Use the version of glocal that made it."
            ) from error
        return RetrievalNetwork(trunk, heads).eval()


def save_network(network: RetrievalNetwork, spec: NetworkSpec, folder: Path) -> None:
    """Write a network and its description into a folder. A shared projection is written once for each of its heads."""
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    spec.save(folder)


def load_network(spec: NetworkSpec, folder: Path) -> RetrievalNetwork:
    """Build a network and load its weights from a folder.

    Raises:
        InvalidInput: The file is no safetensors file (for example a pickle), or does not fit the network.
    """
    network = spec.build()
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{WEIGHTS} does not hold the weights of this network.", str(error).splitlines()[0][:200]) from error
    return network
