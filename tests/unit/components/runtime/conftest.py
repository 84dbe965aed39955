import logging

import pytest


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A run's folder, and an environment without a record in MLflow."""
    for name in ("GLOCAL_RUN_ID", "GLOCAL_TRACKING_URI", "GLOCAL_LOG_LEVEL", "GLOCAL_CODE_REVISION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GLOCAL_RUN_FOLDER", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield tmp_path / "run"
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
