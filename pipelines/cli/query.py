"""`glocal query`: ask the endpoint."""

import json
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.environment import Environment
from model.errors import InvalidInput, Unauthorized, Unavailable
from model.home import Home
from model.text import visible
from pipelines.cli.console import say
from pipelines.cli.options import Json
from serving.operations.search import MAX_K

if TYPE_CHECKING:
    from serving.client import Client
    from serving.operations.operation import Answer


class Op(StrEnum):
    """The operations."""

    SEARCH = "search"
    IDENTIFY = "identify"
    VERIFY = "verify"
    DETECT = "detect"
    EMBED = "embed"


def query(
    image: Annotated[Path, typer.Argument(help="An image file: JPEG, PNG, WebP, BMP, GIF or AVIF.")],
    other: Annotated[Path | None, typer.Argument(help="The other image, for --op verify.", show_default=False)] = None,
    op: Annotated[Op, typer.Option(help="What is asked.")] = Op.SEARCH,
    k: Annotated[int, typer.Option(help="Number of neighbours, for --op search.")] = 5,
    label: Annotated[str | None, typer.Option(help="Only neighbours of this class, for --op search.")] = None,
    name: Annotated[str, typer.Option(help="Name of the served model; default: the only one.")] = "",
    save: Annotated[
        Path | None, typer.Option(help="Draw the answer of search, verify or detect into this file: .png or .jpg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask the endpoint what an image shows."""
    if not 1 <= k <= MAX_K:
        raise InvalidInput(f"--k must be a number from 1 to {MAX_K}.", "5 is the default.")
    if (other is None) is (op is Op.VERIFY):
        raise InvalidInput(f"--op {op} needs {'two images' if op is Op.VERIFY else 'one image'}.", "glocal query --help")
    from serving.local import local_client

    home, elsewhere = Environment().home, Environment().endpoint
    chosen = name if elsewhere else _served_model(home, name)  # elsewhere the gateway chooses
    with local_client(home.serve, address=elsewhere) as client:
        answer = _ask(client, op, image, other, k=k, label=label, matches=save is not None, model=chosen)
    if as_json:
        print(json.dumps(answer.model_dump(mode="json", exclude_none=True)))
    else:
        print(visible(f"{image}: release {answer.release}, space {answer.embedding_space_id}"))
        for line in _lines(op, answer):
            print(visible(f"  {line}"))
    if save is not None:
        from serving.drawing import draw_answer
        from serving.released_data import fetched_data

        images = [image] if other is None else [image, other]
        draw_answer(answer, images, save, fetched_data(home, chosen, answer) if op is Op.SEARCH else {})
        say(f"drawn in {save}")


def _served_model(home: Home, name: str) -> str:
    """The model to ask. An endpoint in a container is not seen among the processes; its gateway answers all the same."""
    from serving import server
    from serving.client import choose_model
    from serving.local import local_client

    state = server.status(home)
    if not state.running:
        with suppress(Unavailable, Unauthorized), local_client(home.serve) as client:
            return client.release(name)["model"]
    return choose_model(state, name)


def _ask(
    client: "Client", op: Op, image: Path, other: Path | None, *, k: int, label: str | None, matches: bool, model: str
) -> "Answer":
    if op is Op.VERIFY and other is not None:
        return client.verify(image, other, matches=matches, model=model)
    if op is Op.SEARCH:
        return client.search(image, k, label=label, matches=matches, model=model)
    asked: Any = {Op.IDENTIFY: client.identify, Op.DETECT: client.detect, Op.EMBED: client.embed}[op]
    answer: Answer = asked(image, model=model)
    return answer


def _lines(op: Op, answer: Any) -> Iterator[str]:
    """An answer in lines for a person."""
    match op:
        case Op.SEARCH:
            for neighbour in answer.neighbours:
                matches = "" if neighbour.inliers is None else f", {neighbour.inliers} local matches"
                yield f"{neighbour.score:.4f}  {neighbour.label}  ({neighbour.id}){matches}"
            yield from answer.notes
        case Op.IDENTIFY:
            compared = f"similarity {answer.score or 0:.4f}, threshold {answer.threshold:.4f}"
            yield f"{answer.label}, {compared}" if answer.known else f"unknown: the best match is {answer.best}, {compared}"
            if answer.margin is not None:
                yield f"runner-up {answer.runner_up}, margin {answer.margin:.4f}"
        case Op.VERIFY:
            said = "the same" if answer.same else "not the same"
            rate = f"at {answer.false_accept_rate:g} false accepts"
            yield f"{said}, similarity {answer.score:.4f}, threshold {answer.threshold:.4f} {rate}"
        case Op.DETECT:
            for each in answer.objects:
                box = " ".join(f"{side:.0f}" for side in each.box)
                yield f"{each.score:.4f}  {each.label}  ({box}), {each.inliers} local matches"
            if not answer.objects:
                yield "no enrolled object was found"
        case Op.EMBED:
            shown = " ".join(f"{value:.4f}" for value in answer.embedding[:4])
            yield f"{len(answer.embedding)} dimensions: {shown} ..."
