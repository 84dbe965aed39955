from pathlib import Path

import pytest

from model.data.importing.findings import Findings, Rejected
from model.errors import Conflict, GlocalError, InvalidInput, NotFound, Unavailable
from pipelines.cli.failures import show_error


def rejected(count):
    findings = Findings()
    for number in range(count):
        findings.defect("unreadable", f"{number}.jpg", "it ends early")
    return Rejected(f"x has {count} defects.", "Every one is named in x.txt.", findings, Path("x.txt"))


SHOWN = [f"  unreadable: {number}.jpg: it ends early" for number in range(20)]


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (GlocalError("It failed."), 1, ["Error: It failed."]),
        (InvalidInput("It is bad.", "Mend it."), 2, ["Error: It is bad.", "  Mend it."]),
        (KeyboardInterrupt(), 130, ["Stopped. The same command resumes."]),
        (SystemExit(143), 143, ["Stopped. The same command resumes."]),
        (
            OSError(28, "No space left on device", "x"),
            1,
            ["Error: There is no room left on the disk of x.", "  Make room there"],
        ),
        (rejected(20), 2, ["Error: x has 20 defects.", *SHOWN, "  Every one is named in x.txt."]),
        (rejected(23), 2, ["Error: x has 23 defects.", *SHOWN, "  and 3 more in x.txt", "  Every one is named in x.txt."]),
    ],
)
def test_every_failure_is_a_line_and_a_hint(glocal, monkeypatch, error, code, lines):
    def fail(*_arguments, **_named):
        raise error

    monkeypatch.setattr("model.config.load_config", fail)
    ended, out, said = glocal("run", "--data", ".")
    assert (ended, out) == (code, "")
    found = said.splitlines()
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))


def test_a_kind_of_error_has_one_exit_code():
    assert [show_error(kind("x")) for kind in (GlocalError, InvalidInput, NotFound, Conflict, Unavailable)] == [1, 2, 3, 4, 5]
    assert [show_error(SystemExit(code)) for code in (None, 0, 6, "words")] == [0, 0, 6, 1]


def test_a_fault_of_ours_is_one_line_and_its_trace_lies_in_a_file(capsys):
    with pytest.raises(ZeroDivisionError) as error:
        print(1 / 0)
    assert show_error(error.value) == 1
    headline, hint = capsys.readouterr().err.splitlines()
    assert headline == "Error: ZeroDivisionError: division by zero"
    trace = Path(hint.rsplit(" ", 1)[1].removesuffix("."))
    assert "print(1 / 0)" in trace.read_text()
    trace.unlink()


def test_a_wrong_variable_is_named(glocal, monkeypatch):
    monkeypatch.setenv("GLOCAL_LOG_LEVEL", "LOUD")
    code, out, error = glocal("data", "list")
    assert (code, out) == (2, "")
    assert error.startswith("Error: GLOCAL_LOG_LEVEL: ")


def test_what_a_person_typed_cannot_write_on_the_terminal_by_itself(glocal, tmp_path):
    for words in (
        ["run", "--data", "no\u202e\x1b[2J\nfolder"],
        ["data", "import", "no\u202e\x1b[2J\nfolder", "--name", "x"],
        ["run", "--data", str(tmp_path), "--set", "data.licence=\n\u202e: 1"],
        ["query", "x.jpg", "--k", "\u202e\x1b[2J\n"],
        ["serve", "\u202e\x1b[2J\n"],
        ["data", "list", "\u202e\n"],
    ):
        code, _, error = glocal(*words)
        assert code in {2, 3}
        assert all(line.isprintable() for line in error.split("\n")), ascii(error)
        assert len(error.splitlines()) <= 2
