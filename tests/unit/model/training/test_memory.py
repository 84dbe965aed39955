import resource
import subprocess
import sys

PROGRAM = """
import resource
import torch
from model.training.memory import keep_freed_memory

keep_freed_memory()
for step in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(50_000_000)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize())
"""


def test_memory_that_was_freed_is_not_asked_for_again():
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60).stdout
    first, _, *others = map(int, said.split())  # the second still finds its place
    assert first > 100 * resource.getpagesize()
    assert max(others) < first / 10
