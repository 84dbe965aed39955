"""A release as an MLflow model, by 'models from code': MLflow stores this file and runs it when it loads the model.

mlflow.pyfunc.load_model("models:/grocery@champion").predict(["image.jpg"])  # one JSON text for each image

A registered model is named after its data set, here grocery.
"""

import json
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

ARTIFACT = "release"
K = 5


class ReleaseModel(PythonModel):
    """MLflow's model that maps paths of images to their neighbours."""

    def load_context(self, context: Any) -> None:
        """Open and verify the release that is stored with the model."""
        from serving.engine.engine import Engine

        self.engine = Engine(Path(context.artifacts[ARTIFACT]))

    def predict(self, context: Any, model_input: list[str]) -> list[str]:  # type: ignore[override] # MLflow reads the signature off these types
        """Search for every image."""
        return [json.dumps(self.engine.search(Path(path).read_bytes(), K)) for path in model_input]


set_model(ReleaseModel())
