import importlib.util
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def install():
    spec = importlib.util.spec_from_file_location("install", ROOT / "infra" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_pinned_package_is_counted_once(install):
    lock = "aiohttp==3.14.5 \\\n    --hash=sha256:00\n    # via dvc\nkfp[kubernetes]==2.17.0 ; sys_platform == 'linux' \\\n"
    assert install.pinned(lock) == 2


def test_packages_are_counted_as_pip_collects_them_and_what_it_said_last_is_kept(install, capsys):
    lines = [f"Collecting package-{number}==1.0 (from -r requirements.lock (line {number}))\n" for number in range(1, 59)]
    lines += [
        "Requirement already satisfied: numpy==2.0 in lib\n",
        "Collecting torch==2.15.0 (from x)\n",
        "  Downloading torch\n",
    ]
    installing = threading.Event()
    last = install.follow([*lines, "Installing collected packages: all\n"], install.Progress(60), installing)
    assert capsys.readouterr().out.splitlines() == [
        "  downloaded 1 of 60 packages (package-1)",
        "  downloaded 25 of 60 packages (package-25)",
        "  downloaded 50 of 60 packages (package-50)",
        "  downloaded 60 of 60 packages (torch)",
    ]
    assert installing.is_set()
    assert last[-1] == "Installing collected packages: all\n"
