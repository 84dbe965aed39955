"""The same question as a command and as a program, to copy."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode


def curl(address: str, model: str, operation: str, options: Mapping[str, Any], names: Sequence[str]) -> str:
    """A question as a command of curl; the key is read from the variable GLOCAL_KEY.

    Args:
        address: Address of the endpoint.
        model: Name of the served model.
        operation: The operation.
        options: Its options.
        names: Names of the image files.
    """
    query = urlencode({name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()})
    lines = ['curl -H "Authorization: Bearer $GLOCAL_KEY"']
    if len(names) == 1:
        lines += ["-H 'Content-Type: application/octet-stream'", f"--data-binary {shlex.quote('@' + names[0])}"]
    else:
        lines += [f"-F {shlex.quote(f'image=@{_form(name)}')}" for name in names]
    lines.append(shlex.quote(f"{address}/v1/models/{model}/{operation}" + (f"?{query}" if query else "")))
    return " \\\n  ".join(lines)


def python(address: str, model: str, operation: str, options: Mapping[str, Any], names: Sequence[str]) -> str:
    """A question as a program with the client; see `curl` for the arguments."""
    arguments = [f"Path({name!r})" for name in names]
    arguments += [f"{name}={value!r}" for name, value in options.items()] + [f"model={model!r}"]
    return "\n".join(
        [
            "import os",
            "from pathlib import Path",
            "",
            "from serving.client import Client",
            "",
            f'with Client({address!r}, os.environ["GLOCAL_KEY"]) as client:',
            f"    answer = client.{operation}({', '.join(arguments)})",
            "print(answer.model_dump_json(indent=2))",
        ]
    )


def _form(name: str) -> str:
    """A file's name as curl's forms take it: between quotes if it holds a character that ends it."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' if any(each in name for each in ';,"\\') else name
