import json
import threading

import pytest

from components.runtime.events import FILE, emit, follow, read_events
from model.schemas.run_event import RunEvent

STARTED = RunEvent(step="train", event="started", at=1.0)


def test_events_come_back_as_they_were_emitted(tmp_path):
    said = RunEvent(step="train", event="progress", at=2.0, text="1 of 4 epochs", done=1, total=4)
    for event in (STARTED, said):
        emit(tmp_path, event)
    assert read_events(tmp_path) == ([STARTED, said], (tmp_path / FILE).stat().st_size)


def test_reading_goes_on_where_it_left_off(tmp_path):
    assert read_events(tmp_path) == ([], 0)
    emit(tmp_path, STARTED)
    events, offset = read_events(tmp_path)
    assert (events, read_events(tmp_path, offset)) == ([STARTED], ([], offset))
    emit(tmp_path, STARTED)
    assert read_events(tmp_path, offset)[0] == [STARTED]


def test_a_line_that_is_not_whole_yet_is_left_for_the_next_call(tmp_path):
    line = STARTED.to_line()
    (tmp_path / FILE).write_bytes(line + line[:10])
    events, offset = read_events(tmp_path)
    assert (events, offset) == ([STARTED], len(line))
    (tmp_path / FILE).write_bytes(line + line)
    assert read_events(tmp_path, offset)[0] == [STARTED]


@pytest.mark.parametrize("line", [b"garbage", b"{}", b'{"step": "train", "event": "unknown"}', b"\xff\xfe", b"null"])
def test_a_line_that_is_no_event_is_passed_over(tmp_path, line):
    (tmp_path / FILE).write_bytes(line + b"\n" + STARTED.to_line())
    assert read_events(tmp_path)[0] == [STARTED]


@pytest.mark.parametrize(
    "text", ["\n", '@glocal {"event": "failed"}', "\u2028", "\u202e", "\x00", '"}\n{"step": "x", "event": "failed"}']
)
def test_no_text_of_a_name_makes_an_event_of_its_own(tmp_path, text):
    said = RunEvent(step="version", event="warning", at=1.0, text=text)
    emit(tmp_path, said)
    assert read_events(tmp_path)[0] == [said]
    assert len((tmp_path / FILE).read_bytes().splitlines()) == 1
    json.loads((tmp_path / FILE).read_text(encoding="ascii"))


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    emit(None, STARTED)
    assert list(tmp_path.iterdir()) == []


def test_following_yields_what_comes_until_the_end_and_what_came_just_before_it(tmp_path):
    ended, heard = threading.Event(), []
    watcher = threading.Thread(target=lambda: heard.extend(follow(tmp_path, ended.is_set)))
    watcher.start()
    for _ in range(3):
        emit(tmp_path, STARTED)
    ended.set()
    watcher.join(timeout=10)
    assert heard == [STARTED] * 3


def test_two_that_write_at_once_do_not_mix(tmp_path):
    long = RunEvent(step="train", event="warning", at=1.0, text="x" * 20_000)
    writers = [threading.Thread(target=lambda: [emit(tmp_path, long) for _ in range(20)]) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert read_events(tmp_path)[0] == [long] * 80
