"""Sources of an import: folders of drawn images and tables of them, and what an import makes of them without versions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from model.config import DataConfig
from model.data.importing.assembling import assemble
from model.data.importing.findings import Findings
from model.data.importing.import_dataset import _list
from model.data.manifest import Manifest, read_manifest


def draw(path: Path, seed: int, size: int = 48) -> Path:
    """Write soft random blobs to `path`: no two seeds look alike."""
    cells = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC).save(path)
    return path


def make_source(root: Path, names: Sequence[str] = ("ant", "bee", "cat", "dog"), shots: int = 2) -> Path:
    """A folder of classes with `shots` images each, `<class>/<shot>.png`."""
    for number, name in enumerate(names):
        for shot in range(shots):
            draw(root / name / f"{shot}.png", 10 * number + shot)
    return root


class Survey:
    """An import up to the folder of the data set, which is all that needs no repository."""

    def __init__(self, root: Path, table: Path | None = None, **settings: object):
        self.findings = Findings()
        self.out = root.parent / f"out{len(list(root.parent.iterdir()))}"
        config = DataConfig(**{"max_image_bytes": 10**6, **settings})
        listing = _list(str(root), table, root.parent / "none", config, self.findings, lambda *_: None)
        self.record = assemble(listing, config, None, self.out, self.findings, lambda *_: None)

    @property
    def defects(self) -> list[tuple[str, str]]:
        return sorted((found.kind, found.name) for found in self.findings.defects)

    @property
    def warnings(self) -> list[str]:
        return sorted(found.kind for found in self.findings.warnings)

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.findings.dropped)

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.out)

    @property
    def paths(self) -> list[str]:
        """The stored samples' files, sorted."""
        return sorted(self.manifest.paths.tolist())
