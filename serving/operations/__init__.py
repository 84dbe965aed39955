"""The operations of a served release: a file each, and a line here."""

from typing import Any

from serving.operations.detect import Detect
from serving.operations.embed import Embed
from serving.operations.identify import Identify
from serving.operations.operation import Operation
from serving.operations.search import Search
from serving.operations.verify import Verify

_ALL: tuple[Operation[Any], ...] = (Embed(), Search(), Verify(), Identify(), Detect())
OPERATIONS = {operation.name: operation for operation in _ALL}
"""Every operation by its name."""

__all__ = ["OPERATIONS", "Operation"]
