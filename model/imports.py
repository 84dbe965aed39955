"""Imports of large libraries, made quicker."""

import atexit
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

atexit.register(gc.unfreeze)  # what is not collected at the end is called a leak by some of what was imported
_COMPILER, _SUPPORT = "torch._dynamo", "torch._dynamo.utils"


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keep the garbage collector from what is imported in the block, during it and for ever.

    What an import makes stays; to look through it again and again takes a fifth of the time of MLflow's import, and of torch's,
    and a quarter of a second at each full collection after it.
    """
    was_on, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:
            gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def without_compiler() -> Iterator[None]:
    """`quick_imports` for torchvision and timm in a process that only answers queries: torch's compiler is not imported.

    torchvision names the compiler in two decorators, which takes a second and 100 MB. In the block functions that change nothing
    stand in its place; after it the compiler can be imported as always.
    """
    stand_ins = () if _COMPILER in sys.modules else _stand_ins()
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        with quick_imports():
            yield
    finally:
        for module in stand_ins:
            sys.modules.pop(module.__name__, None)


def _stand_ins() -> tuple[ModuleType, ModuleType]:
    """The modules of the compiler that torchvision names, with no more in them than it names."""
    compiler, support = ModuleType(_COMPILER), ModuleType(_SUPPORT)
    compiler.__path__ = []

    def disable(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any]:
        return function if function is not None else lambda decorated: decorated

    vars(compiler)["disable"] = disable
    vars(support)["is_compile_supported"] = lambda device: False
    return compiler, support
