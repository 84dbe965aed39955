"""Before torch is imported: one thread each. The tests share few cores, and more threads than cores wait for one another."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
