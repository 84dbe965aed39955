"""What TorchServe needs in an archive."""

import json
import zipfile
from pathlib import Path

from serving.backends.torchserve import handler
from serving.backends.torchserve.wrapping import wrapping

OLD = Path(__file__).parents[4] / "fixtures" / "8feff62" / "glocal-1.mar"


def test_it_is_the_handler_and_the_manifest_that_the_archiver_writes():
    found = wrapping("glocal", "1")
    assert found["handler.py"] == Path(handler.__file__).read_bytes()
    with zipfile.ZipFile(OLD) as packed:
        archiver = json.loads(packed.read("MAR-INF/MANIFEST.json"))
    assert json.loads(found["MAR-INF/MANIFEST.json"]) == archiver
    assert set(found) == {"handler.py", "MAR-INF/MANIFEST.json"}
    assert wrapping("glocal", "1") == found
    assert json.loads(wrapping("other", "2")["MAR-INF/MANIFEST.json"])["model"]["modelVersion"] == "2"
