"""What TorchServe needs in an archive beside the release: the handler, and the manifest as torch-model-archiver writes it."""

import json
from collections.abc import Mapping
from pathlib import Path

_HANDLER = Path(__file__).resolve().with_name("handler.py")


def wrapping(name: str, version: str) -> Mapping[str, bytes]:
    """The entries of an archive, by name: the same name and version give the same bytes."""
    from model_archiver.manifest_components.manifest import Manifest
    from model_archiver.manifest_components.model import Model

    manifest = Manifest("python", Model(name, None, handler=_HANDLER.name, model_version=version)).manifest_dict
    stamped = manifest | {"createdOn": "01/01/1980 00:00:00"}
    return {
        _HANDLER.name: _HANDLER.read_bytes(),
        "MAR-INF/MANIFEST.json": json.dumps(stamped, indent=2, sort_keys=True).encode(),
    }
