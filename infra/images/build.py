"""Build the project's images from this checkout. Run by `make images`.

    .venv/bin/python infra/images/build.py [pipeline|train|serve ...] [-- ARGUMENTS OF docker build]

Names come from the settings `GLOCAL_IMAGE`, `GLOCAL_TRAIN_IMAGE` and `GLOCAL_SERVE_IMAGE`, the engine's program from `DOCKER`.
Each image is labelled with the commit, and with the revision of the code that `--runner docker` compares with its own.
"""

import os
import subprocess
import sys
from pathlib import Path

from components.runtime.revision import code_revision
from model.containers import Images

ROOT = Path(__file__).parents[2]
DOCKERFILE = Path(__file__).with_name("Dockerfile")


def names(images: Images) -> dict[str, str]:
    """The name of the image of each target."""
    return {"pipeline": images.image, "train": images.train_image, "serve": images.serve_image}


def commit() -> str:
    """The commit of this checkout, with `-dirty` if files differ from it; `unknown` outside a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def command(target: str, name: str, more: list[str]) -> list[str]:
    """The command that builds a target."""
    labels = ["--build-arg", f"VERSION={code_revision()}", "--build-arg", f"REVISION={commit()}"]
    chosen = ["--file", str(DOCKERFILE), "--target", target, "--tag", name]
    return [os.environ.get("DOCKER", "docker"), "build", *chosen, *labels, *more, str(ROOT)]


def main(arguments: list[str]) -> int:
    """Build the named targets, or all; returns the engine's exit code."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    known = names(Images())
    targets, more = arguments[:at] or list(known), arguments[at + 1 :]
    if unknown := [target for target in targets if target not in known]:
        print(f"There is no target {unknown[0]}; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    for target in targets:
        done = subprocess.run(command(target, known[target], more), env=os.environ | {"DOCKER_BUILDKIT": "1"}, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
