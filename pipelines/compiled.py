"""The pipeline as the file that every runner runs."""

import re
import tempfile
from pathlib import Path

from kfp import compiler

from model.files import atomic_file
from pipelines.training import training


def compile_pipeline(out: Path) -> Path:
    """Write the training pipeline to `out` (.yaml); the same code gives the same bytes.

    KFP prints defaults that are mappings into its opening comment, in an order that changes from process to process. They are
    removed from the comment; the pipeline itself keeps them.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(training, str(file))
        with atomic_file(out) as partial:
            text = re.sub(r"^(#.*) \[Default: \{.*\}\]$", r"\1", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            partial.write_text(text, encoding="utf-8")
    return out
