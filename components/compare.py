"""Step of a reproduction: does the repeated training agree with the registered version?"""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def compare(
    model: str,
    version: str,
    work: str,
    release: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    reproduction: dsl.Output[dsl.Artifact],
) -> bool:
    """Compare figures and embeddings with those of the version, then remove the work files, so that the next one trains again.

    Reads:
        model, version: The registered version.
        work: Folder of the reproduction's reusable files in the home's `work`.
        release, report: What `index` and `evaluate` wrote.

    Writes:
        reproduction: Figures, the largest differences, how the code differs, and what could not be compared.

    Returns:
        Whether both agree.

    Fails when the version, its run or its report is not on record any more.
    """
    import shutil
    from pathlib import Path

    from components.runtime.reporting import show_reproduction
    from components.runtime.step import step
    from serving.reproduction import compare_reproduction

    with step("compare") as current:
        folders = Path(release.path), Path(report.path)
        found = compare_reproduction(current.environment.mlflow_uri, model, version, *folders)
        show_reproduction(current, folders[1], Path(reproduction.path), found)
        shutil.rmtree(current.work(work), ignore_errors=True)
        return found.agrees
