"""What MLflow holds of promotions and of trainings, read with its own client."""

from typing import Any

from mlflow import MlflowClient


def promotions(tracking_uri: str, model: str) -> list[dict[str, str]]:
    """The tags of a model's entries in the ledger, newest first."""
    client = MlflowClient(tracking_uri)
    experiment: Any = client.get_experiment_by_name("glocal-promotions")
    entries = client.search_runs([experiment.experiment_id], f"tags.model = '{model}'", order_by=["attributes.start_time DESC"])
    return [dict(entry.data.tags) for entry in entries]


def curve(tracking_uri: str, run_id: str, name: str) -> list[tuple[int, float]]:
    """Epoch and value of every point of a run's metric."""
    return [(point.step, point.value) for point in MlflowClient(tracking_uri).get_metric_history(run_id, name)]
