"""What the README says of the code."""

import re
from pathlib import Path

from model.config import RunConfig
from model.environment import Environment
from pipelines.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_stands_in_the_readme_with_its_default():
    for name, section in RunConfig():
        for key, value in section:
            row = re.search(rf"^\| `{name}\.{key}` \|([^|]*)\|", README, re.MULTILINE)
            assert row, f"{name}.{key}"
            assert f"{value}" in row[1].replace(",", ""), f"{name}.{key} is {value}"


def test_every_environment_variable_stands_in_the_readme():
    for name in Environment.model_fields:
        assert f"GLOCAL_{name.upper()}" in README, name


def test_every_command_stands_in_the_readme():
    for command in app.registered_commands:
        assert f"glocal {command.name or command.callback.__name__}" in README


def test_every_file_the_readme_points_at_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
