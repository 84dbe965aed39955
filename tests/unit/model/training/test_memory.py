import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from pathlib import Path
import torch
from model.training.memory import keep_freed_memory

def mapped():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    return int(line.split()[1]) * 1024

if sys.argv[1] == "kept":
    keep_freed_memory()
torch.ones(1)
before = mapped()
torch.ones(50_000_000)  # 200 MB, freed at once
print(mapped() - before)
"""


@pytest.mark.parametrize("kept", [True, False])
def test_memory_that_was_freed_stays_with_the_process_when_asked_to(kept):
    command = [sys.executable, "-c", PROGRAM, "kept" if kept else "as it is"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert (int(said) > 150_000_000) == kept
