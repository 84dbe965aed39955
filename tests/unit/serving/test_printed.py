import sys

import pytest

from model.home import Home
from serving import printed
from serving.printed import bound_logs
from serving.processes import start_detached, wait_until


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(printed, "MAX_BYTES", 1000)
    return Home(tmp_path).serve


def test_a_server_that_prints_on_and_on_has_a_log_of_bounded_size_and_writes_on(folder, tmp_path):
    log = folder.backend_logs("litserve") / "mugs@1.log"
    words = "import time\nfor number in range(10**6):\n    print('line', number, flush=True)\n    time.sleep(0.0005)"
    server = start_detached([sys.executable, "-c", words], folder=tmp_path, environment={}, log=log)
    try:
        for _ in range(3):
            assert wait_until(lambda: log.stat().st_size > 1000, deadline_s=20, pause_s=0.01)
            bound_logs(folder)
            assert log.with_name("mugs@1.log.1").read_bytes().startswith(b"line ")
        assert wait_until(lambda: log.stat().st_size > 100, deadline_s=20, pause_s=0.01)
        assert b"\0" not in log.read_bytes()
    finally:
        server.kill()
        server.wait()
    assert len(list(log.parent.iterdir())) == 2


def test_small_logs_links_and_other_files_are_left_alone(folder, tmp_path):
    logs = folder.gateway_logs
    logs.mkdir(parents=True)
    (logs / "console.log").write_bytes(bytes(1000))
    (logs / "other.txt").write_bytes(bytes(2000))
    (tmp_path / "elsewhere").write_bytes(bytes(2000))
    (logs / "link.log").symlink_to(tmp_path / "elsewhere")
    (logs / "folder.log").mkdir()
    bound_logs(folder)
    assert sorted(file.name for file in logs.iterdir()) == ["console.log", "folder.log", "link.log", "other.txt"]
    assert (tmp_path / "elsewhere").stat().st_size == 2000


def test_a_log_is_emptied_also_where_its_copy_finds_no_room(folder, monkeypatch):
    logs = folder.gateway_logs
    logs.mkdir(parents=True)
    (logs / "console.log").write_bytes(bytes(2000))
    (logs / "console.log.1").mkdir()
    bound_logs(folder)
    assert (logs / "console.log").stat().st_size == 0
