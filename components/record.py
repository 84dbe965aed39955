"""The exit handler: how the run ended, whatever happened."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def record(status: dsl.PipelineTaskFinalStatus) -> None:
    """Close the run's record in MLflow.

    Reads:
        status: What KFP says of the steps before.
    """
    from components.runtime.run_record import close_run
    from components.runtime.step import step

    with step("record") as current:
        close_run(current.environment, status.state, status.error_message or "")
