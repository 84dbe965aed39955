"""Before torch is imported: one thread each. The tests share few cores, and more threads than cores wait for one another.

Then the pipelines: KFP reads the whole stack for each requirement of a step when it traces them, which takes minutes where the
stack is pytest's.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pipelines.compiled  # noqa: F401
