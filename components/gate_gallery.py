"""Step of enrolment and removal: may the changed gallery replace the champion's?"""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate_gallery(
    base: dict[str, Any],
    gate: dict[str, Any],
    release: dsl.Input[dsl.Model],
    decision: dsl.Output[dsl.Artifact],
) -> bool:
    """Hold the release to the champion's space, its golden queries, and what its thresholds state.

    Reads:
        base: The model, the version whose gallery was changed, and the champion.
        gate: The `gate` section of the configuration.
        release: What `enrol` or `remove` wrote.

    Writes:
        decision: Each rule, its figures, and whether it held.

    Returns:
        Whether all of them held.

    Fails when another version became champion meanwhile.
    """
    from pathlib import Path

    from components.runtime.reporting import record_decision
    from components.runtime.step import step
    from model.config import GateConfig
    from model.schemas.gallery import GalleryBase
    from serving.enrolment import gate_gallery as decide

    with step("gate") as current:
        decided = decide(
            Path(release.path),
            GalleryBase(**base),
            GateConfig(**gate),
            Path(decision.path),
            tracking_uri=current.environment.mlflow_uri,
            home=current.environment.home,
        )
        for text in (rule.text for rule in decided.rules if rule.name == "look_alikes" and rule.figure):
            current.warn(text)
        record_decision(current, Path(decision.path), decided)
        return decided.passed
