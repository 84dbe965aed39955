import json

import pytest

from model.errors import InvalidInput, NotFound
from model.schemas.calibration import Calibration
from model.schemas.decision import Decision
from model.schemas.document import read_schema
from model.schemas.illustrations import Illustrations
from model.schemas.release_manifest import ReleaseManifest
from model.schemas.report import Report
from tests.support.reports import make_report


@pytest.fixture
def file(tmp_path):
    make_report().save(tmp_path / "report.json")
    return tmp_path / "report.json"


def test_a_document_is_read_back_as_it_was_written_and_states_its_format(file):
    assert Report.load(file) == make_report()
    assert json.loads(file.read_text())["format"] == 2
    assert list(json.loads(file.read_text())["splits"]) == ["train", "test"]  # the order is kept


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "\x00", "[" * 100_000, '{"format": 2}', '{"format": 2, "size_mb": NaN}']
)
def test_a_damaged_document_is_refused_in_one_line_that_names_the_file(file, content):
    file.write_text(content)
    with pytest.raises(InvalidInput, match="is damaged") as caught:
        Report.load(file)
    assert caught.value.headline.startswith(f"{file} is damaged: ")
    assert "\n" not in caught.value.headline
    assert "evaluate" in caught.value.hint


@pytest.mark.parametrize("known", [None, 1, 3, "2", "x" * 1000])
def test_another_format_is_refused_by_its_number(file, known):
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": known}))
    with pytest.raises(InvalidInput, match=r"has format .*, not 2\.") as caught:
        Report.load(file)
    assert len(caught.value.headline) < len(str(file)) + 60


def test_an_unknown_and_a_wrong_field_are_named(file):
    tree = json.loads(file.read_text())
    file.write_text(json.dumps(tree | {"more": 1}))
    with pytest.raises(InvalidInput, match="damaged: more: "):
        Report.load(file)
    tree["latency"]["ratio"] = "fast"
    file.write_text(json.dumps(tree))
    with pytest.raises(InvalidInput, match=r"damaged: latency\.ratio: "):
        Report.load(file)


def test_a_missing_document_is_not_a_damaged_one(tmp_path):
    with pytest.raises(NotFound, match="There is no"):
        Decision.load(tmp_path / "decision.json")
    with pytest.raises(NotFound, match="There is no"):
        read_schema(Calibration, tmp_path / "calibration.json", "")


@pytest.mark.parametrize("document", [Report, Decision, ReleaseManifest, Illustrations])
def test_every_document_has_a_json_schema_that_fixes_its_format(document):
    schema = document.model_json_schema()
    assert schema["properties"]["format"]["const"] == document.model_fields["format"].default
