"""`glocal query`: ask the endpoint."""

import json
from pathlib import Path
from typing import Annotated

import typer

from model.environment import Environment
from model.errors import InvalidInput
from model.text import visible
from pipelines.cli.options import Json
from serving.protocol import MAX_DIGITS


def query(
    image: Annotated[Path, typer.Argument(help="An image file: JPEG, PNG, WebP, BMP, GIF or AVIF.")],
    k: Annotated[int, typer.Option(help="Number of neighbours.")] = 5,
    name: Annotated[str, typer.Option(help="Name of the served model; default: the only one.")] = "",
    as_json: Json = False,
) -> None:
    """Ask the endpoint what an image shows."""
    if not 1 <= k < 10**MAX_DIGITS:
        raise InvalidInput(f"--k must be a number from 1 to {10**MAX_DIGITS - 1}.", "5 is the default.")
    from serving.backends.torchserve import server as torchserve
    from serving.client import choose_model
    from serving.client import query as ask

    state = torchserve.status(Environment().home)
    answer = ask(state.address, choose_model(state, name), image, k)
    if as_json:
        print(json.dumps(answer))
        return
    print(visible(f"{image}: release {answer['release']}, space {answer['embedding_space_id']}"))
    for neighbour in answer["neighbours"]:
        matches = f", {neighbour['inliers']} local matches" if "inliers" in neighbour else ""
        print(visible(f"  {neighbour['score']:.4f}  {neighbour['label']}  ({neighbour['id']}){matches}"))
