"""A home with a version on record as served and its data fetched, in front of which no endpoint runs."""

import zipfile

from model.claim import claim
from model.data.manifest import write_manifest
from model.files import write_json
from model.home import Home
from tests.support.releases import draw_image

NAME = "drawn"


def served_home(root, release):
    """A home in `root` whose version 3 is on record as served."""
    home = claim(Home.at(root / "home"))
    home.serve.store.mkdir(parents=True)
    with zipfile.ZipFile(home.serve.store / f"{NAME}-3.mar", "w") as archive:
        for file in release.folder.rglob("*"):
            archive.write(file, f"release/{file.relative_to(release.folder)}")
    entry = {"version": "3", "archive": f"{NAME}-3.mar", "sha256": "0" * 64, "release": release.id, "workers": 1}
    write_json(home.serve.deployed, {NAME: {**entry, "embedding_space_id": release.embedding_space_id}})
    folder = home.datasets / release.pin.md5
    (folder / "drawn").mkdir(parents=True)
    for number in range(10):
        (folder / "drawn" / f"{number}.png").write_bytes(draw_image(number))
    write_manifest(folder, [(f"drawn/{number}.png", f"class {number % 5}", "test", None) for number in range(10)])
    return home
