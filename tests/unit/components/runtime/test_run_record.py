from components.runtime.run_record import run_evidence
from model.environment import Environment


def test_evidence_is_copied_into_the_folder_of_the_run(run_folder, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text("{}")
    for _ in range(2):
        run_evidence(Environment(), {"map_at_r": 1.0}, {"a": "b"}, {"report": tmp_path / "report"})
    assert [file.name for file in (run_folder / "report").iterdir()] == ["report.json"]
