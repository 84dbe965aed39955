"""Step 5: is it good enough, and no worse than what serves?"""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(
    pin: dict[str, Any],
    gate: dict[str, Any],
    serve: dict[str, Any],
    release: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    decision: dsl.Output[dsl.Artifact],
) -> bool:
    """Hold the release against floors, budgets and the champion on the same queries.

    Reads:
        pin: The data; the champion answers the same queries.
        gate, serve: These sections of the configuration.
        release, report: What `index` and `evaluate` wrote.

    Writes:
        decision: Each rule, its figures, and whether it held.

    Returns:
        Whether all of them held.

    Fails when report and release do not belong together, or the champion was made from a data set of another name.
    """
    from pathlib import Path

    from components.runtime.reporting import show_decision, show_report
    from components.runtime.step import step
    from model.config import GateConfig, ServeConfig
    from model.schemas.data_pin import DataPin
    from serving.gating import gate_release

    with step("gate") as current:
        show_report(current, Path(report.path))
        decided = gate_release(
            DataPin.from_json(pin),
            GateConfig(**gate),
            ServeConfig(**serve),
            Path(release.path),
            Path(report.path),
            Path(decision.path),
            tracking_uri=current.environment.mlflow_uri,
            home=current.environment.home,
            progress=current.progress,
        )
        show_decision(current, Path(report.path), Path(decision.path), decided)
        return decided.passed
