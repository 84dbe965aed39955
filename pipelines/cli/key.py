"""`glocal key`: API keys of the endpoint on this machine."""

import json
from typing import Annotated

import typer

from model.environment import Environment
from model.home import ServeFolder
from model.text import visible
from pipelines.cli.console import say
from pipelines.cli.options import Json
from serving.gateway.keys import Key, Scope, create_key, read_keys, revoke_key

commands = typer.Typer(help="API keys of the endpoint on this machine.", no_args_is_help=True)


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it allows; may be repeated. Default: caller.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires; default: never.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept."""
    made, secret = create_key(_folder(), name, scope or [Scope.CALLER], days=days)
    if as_json:
        print(json.dumps({"key": secret, **_shown(made)}))
        return
    say(f"Key {made.id} of {made.name}: {', '.join(made.scopes)}. It is not shown again.")
    print(secret)


@commands.command("list")
def list_(as_json: Json = False) -> None:
    """List the keys, without their secrets."""
    keys = read_keys(_folder().keys)
    if as_json:
        print(json.dumps({"keys": [_shown(key) for key in keys]}))
        return
    for key in keys:
        ends = f"until {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else "does not expire"
        print(visible(f"{key.id}  {key.name}  {', '.join(key.scopes)}  made {key.created:%Y-%m-%d}  {ends}"))
    if not keys:
        say("There is no key. Make one: glocal key create NAME; glocal serve start makes one for the owner of this home.")


@commands.command()
def revoke(identity: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")], as_json: Json = False) -> None:
    """Remove a key; the endpoint refuses it from now on."""
    revoked = revoke_key(_folder(), identity)
    print(json.dumps({"revoked": revoked.id}) if as_json else visible(f"revoked {revoked.id} of {revoked.name}"))


def _folder() -> ServeFolder:
    return Environment().home.serve


def _shown(key: Key) -> dict[str, object]:
    shown: dict[str, object] = key.model_dump(mode="json", exclude={"sha256"}, exclude_none=True)
    return shown
