"""The exit handler: how the run ended, whatever happened."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def record(
    status: dsl.PipelineTaskFinalStatus,
    source: str = "",
    name: str = "",
    data: dict[str, Any] = {},
    model: dict[str, Any] = {},
    train: dict[str, Any] = {},
    index: dict[str, Any] = {},
    evaluate: dict[str, Any] = {},
    gate: dict[str, Any] = {},
    serve: dict[str, Any] = {},
) -> None:
    """Close the run's record in MLflow.

    Reads:
        status: What KFP says of the steps before.
        source, name: The source of the data and the name of the data set.
        data, model, train, index, evaluate, gate, serve: The sections of the configuration. What of them is not on record yet, as
            of a run that Kubeflow's own page or clock started, is added.
    """
    from components.runtime.run_record import close_run, record_settings
    from components.runtime.step import step

    with step("record") as current:
        sections = {
            "data": data,
            "model": model,
            "train": train,
            "index": index,
            "evaluate": evaluate,
            "gate": gate,
            "serve": serve,
        }
        record_settings(current.environment, source, name, sections)
        close_run(current.environment, status.state, status.error_message or "")
