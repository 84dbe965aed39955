"""A release as the folder that MLflow stores: written when a version is registered, opened when it is fetched."""

from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from model.errors import GlocalError, InvalidInput

if TYPE_CHECKING:
    from model.release import Release

_REQUIREMENTS = ("torch", "torchvision", "timm", "faiss-cpu", "safetensors", "numpy", "mlflow")


def save_model(release: "Release", out: Path) -> None:
    """Write a folder that MLflow can load: the release and the code that opens it, without pickles or inferred requirements."""
    from mlflow.pyfunc import save_model as save

    save(  # the signature follows from the types of `ReleaseModel.predict`
        str(out),
        python_model=str(Path(__file__).with_name("pyfunc.py")),
        artifacts={"release": str(release.folder.resolve())},
        pip_requirements=[f"{name}=={installed(name)}" for name in _REQUIREMENTS],
    )


def release_in(model: Path) -> Path:
    """Folder of the release in the folder of a stored model.

    Raises:
        GlocalError: The stored model names no release.
        InvalidInput: The stored model names a release outside its folder.
    """
    try:
        flavour = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
        path: Path = (model / flavour["artifacts"]["release"]["path"]).resolve()
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise GlocalError("The stored model holds no release.", "Register it again.") from error
    if not path.is_relative_to(model.resolve()):
        raise InvalidInput("The stored model names a release outside its folder.")
    return path
