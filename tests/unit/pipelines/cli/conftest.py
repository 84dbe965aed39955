import sys

import pytest

from pipelines import cli


@pytest.fixture
def glocal(monkeypatch, capsys, tmp_path):
    """Run the command line in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["glocal", *map(str, words)])
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        out, error = capsys.readouterr()
        assert "Traceback" not in out + error
        return code, out, error

    return run
