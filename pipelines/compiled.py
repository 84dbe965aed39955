"""The pipeline as the file that every runner runs."""

import re
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler

from model.files import atomic_file
from pipelines.enrolment import enrolment, removal
from pipelines.promotion import promotion
from pipelines.reproduction import reproduction
from pipelines.training import training

PIPELINES: dict[str, Any] = {
    "training": training,
    "enrolment": enrolment,
    "removal": removal,
    "promotion": promotion,
    "reproduction": reproduction,
}
"""Every pipeline by its name."""


def compile_pipeline(out: Path, name: str = "training") -> Path:
    """Write a pipeline to `out` (.yaml); the same code gives the same bytes.

    KFP prints defaults that are mappings into its opening comment, in an order that changes from process to process. They are
    removed from the comment; the pipeline itself keeps them.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(PIPELINES[name], str(file))
        with atomic_file(out) as partial:
            text = re.sub(r"^(#.*) \[Default: \{.*\}\]$", r"\1", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            partial.write_text(text, encoding="utf-8")
    return out
