"""The pipeline as the file that every runner runs."""

import tempfile
from pathlib import Path

from kfp import compiler

from model.files import atomic_file
from pipelines.training import training


def compile_pipeline(out: Path) -> Path:
    """Write the training pipeline to `out` (.yaml); the same code gives the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(training, str(file))
        with atomic_file(out) as partial:
            partial.write_bytes(file.read_bytes())
    return out
