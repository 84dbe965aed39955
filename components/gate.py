"""Step 5: is it good enough, and no worse than what serves?"""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(
    pin: dict,  # type: ignore[type-arg]
    settings: dict,  # type: ignore[type-arg]
    name: str,
    release: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    decision: dsl.Output[dsl.Artifact],
) -> bool:
    """Hold the release against floors, budgets and the champion on the same queries.

    Reads:
        pin: The data; the champion answers the same queries.
        settings: The `gate` section of the configuration.
        name: The registered model whose champion is compared; empty: the data set's.
        release, report: What `index` and `evaluate` wrote.

    Writes:
        decision: Each rule, its figures, and whether it held.

    Returns:
        Whether all of them held.
    """
    from pathlib import Path

    from components.judging import judge
    from components.runtime.step import step

    with step("gate") as current:
        return judge(pin, settings, name, Path(release.path), Path(report.path), Path(decision.path), current)
