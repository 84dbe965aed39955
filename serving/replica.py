"""A replica of the endpoint: a home that serves what it is told to, and is thrown away with the machine that it lies on.

    python -m serving.replica fetch               copies the releases from the registry, and verifies them
    python -m serving.replica serve --keys FILE   serves each once it has answered its golden queries, until a signal ends it

What it is told stands in GLOCAL_SERVED (`model.schemas.declared`). It has no records beside: `deployed.json` is written once the
releases have answered, so that the gateway is not ready before.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from model.claim import claim
from model.environment import Environment, prepare_process
from model.errors import GlocalError, InvalidInput, Unavailable
from model.files import write_text
from model.home import Home, ServeFolder
from model.release import Release, open_release
from model.schemas.declared import Declared, DeclaredVersion, read_declared
from model.signals import ended_by_signals
from serving import backends, server
from serving.gateway import process as gateway
from serving.gateway.keys import known_key, read_keys, replace_keys
from serving.local import ensure_key, read_key
from serving.protocol import RELEASE, SIGNATURE
from serving.rollout.challenge import begin_challenge
from serving.rollout.endpoint import connect, deploying
from serving.rollout.switch import switch_over

app = typer.Typer(add_completion=False, help="A replica of the endpoint.", pretty_exceptions_enable=False)
_LOOK_S = 5.0
"""Seconds between two looks at what runs, and at the file of the keys."""


@app.command()
def fetch() -> None:
    """Copy the declared releases from the registry to GLOCAL_HOME, and verify them."""
    environment = Environment()
    claim(environment.home)
    for name, each in _versions(read_declared(environment.served)):
        fetch_release(environment.home.serve, environment.mlflow_uri, name, each)


@app.command()
def serve(
    keys: Annotated[Path | None, typer.Option(help="File of the keys that admit callers, as serve/keys.json.")] = None,
) -> None:
    """Serve the declared versions until a signal ends it, with exit code 0, or a part of the endpoint ends by itself."""
    environment = Environment()
    home = claim(environment.home)
    with contextlib.suppress(KeyboardInterrupt), ended_by_signals(exit_code=0):
        try:
            admit(home.serve, keys)
            bring_up(home, read_declared(environment.served))
            _watch(home, keys)
        finally:
            server.stop(home)


def fetch_release(folder: ServeFolder, tracking_uri: str, name: str, wanted: DeclaredVersion) -> Release:
    """Copy a version's release from the registry, unless it is here already.

    Raises:
        NotFound: The registry does not have the version.
        InvalidInput: It has another release by this number, or one that was changed.
    """
    from serving.registry.models import Registry  # the image that serves has none

    place = _place(folder, name, wanted)
    if not (place / SIGNATURE).is_file():  # it is written last
        release = Registry(tracking_uri, name).files.fetch(wanted.version, place / RELEASE)
        write_text(place / SIGNATURE, release.signature)
    return _opened(folder, name, wanted)


def bring_up(home: Home, declared: Declared) -> None:
    """Start the endpoint, and let each declared version serve once it has answered its golden queries.

    Raises:
        GlocalError: One of them is not whole, cannot be loaded, or does not answer as its release must.
    """
    with deploying(home.serve), connect(home.serve, server.ensure(home, backends.chosen())) as endpoint:
        for name, model in declared.items():
            switch_over(endpoint, _opened(home.serve, name, model), model.version, name=name, workers=model.workers)
            if (tried := model.challenger) is not None:
                release = _opened(home.serve, name, tried)
                begin_challenge(endpoint, release, tried.version, tried.challenge, name=name, workers=tried.workers)


def admit(folder: ServeFolder, keys: Path | None) -> None:
    """Admit the keys of a file, beside the replica's own, with which it asks itself.

    Raises:
        InvalidInput: The file cannot be read.
    """
    ensure_key(folder)
    own = known_key(read_keys(folder.keys), read_key(folder))
    replace_keys(folder, (*(read_keys(keys) if keys is not None else ()), own))


def _versions(declared: Declared) -> Iterator[tuple[str, DeclaredVersion]]:
    for name, model in declared.items():
        yield name, model
        if model.challenger is not None:
            yield name, model.challenger


def _place(folder: ServeFolder, name: str, wanted: DeclaredVersion) -> Path:
    return folder.fetched / f"{name}@{wanted.version}"


def _opened(folder: ServeFolder, name: str, wanted: DeclaredVersion) -> Release:
    """A fetched release, whose files were compared with their hashes."""
    place = _place(folder, name, wanted)
    release = open_release(place / RELEASE)
    if release.id != wanted.release:
        headline = f"Version {wanted.version} of {name} is release {release.id}, and {wanted.release} is to be served."
        raise InvalidInput(headline, "The registry is not the one that this version was promoted from: see GLOCAL_TRACKING_URI.")
    return replace(release, signature=(place / SIGNATURE).read_text(encoding="utf-8"))


def _watch(home: Home, keys: Path | None) -> NoReturn:
    """Look after what runs.

    Raises:
        Unavailable: Gateway or server of models ended by itself.
    """
    seen = _changed(keys)
    while True:
        time.sleep(_LOOK_S)
        if gateway.find(home.serve) is None or not backends.chosen().runs(home.serve):
            raise Unavailable("A part of the endpoint ended by itself.", f"See {home.serve.logs}.")
        if (now := _changed(keys)) != seen:
            admit(home.serve, keys)
            seen = now


def _changed(file: Path | None) -> float:
    return file.stat().st_mtime if file is not None and file.exists() else 0.0


def main() -> None:
    """Run a command. An error is one line, and the exit code is its own."""
    prepare_process(Environment().home)
    try:
        app()
    except GlocalError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
