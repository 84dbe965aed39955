"""What the documents say of the code."""

import re
from pathlib import Path

import pytest
import typer

from model.environment import Environment
from model.networks.methods import METHODS
from model.settings_page import settings_page
from pipelines.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("infra/**/*.md")])
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def commands(group, prefix="glocal"):
    for command in group.registered_commands:
        yield f"{prefix} {command.name or command.callback.__name__.rstrip('_')}"
    for each in group.registered_groups:
        yield from commands(each.typer_instance, f"{prefix} {each.name}")


def test_the_page_of_settings_is_what_make_docs_writes():
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_every_environment_variable_stands_on_the_page_of_settings():
    for name in Environment.model_fields:
        assert f"`GLOCAL_{name.upper()}`" in settings_page(), name


@pytest.mark.parametrize("command", sorted(commands(app)))
def test_every_command_stands_in_the_documents(command):
    assert isinstance(app, typer.Typer)
    assert re.search(rf"\b{command}\b", TEXT)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_stands_on_the_page_of_methods(method):
    assert f"`{method}`" in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_a_document_points_at_is_there(page):
    for target in re.findall(r"\]\(([^)#:\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180


def test_no_placeholder_was_left_in_a_document():
    assert not re.search(r"@@|TODO|TBD|FIXME", TEXT)
