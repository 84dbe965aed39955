"""What becomes of a finished step whose artifacts or whose entry were damaged since."""

import os
import shutil
from pathlib import Path

import pytest
from kfp import dsl

from pipelines.runners.step_cache import StepCache

ARGUMENTS = {"image": "glocal", "full_command": ["python"], "arguments": {"pin": {"md5": "d" * 32}}}


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "artifacts" / "run" / "index" / "release"
    (folder / "gallery").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights" * 100)
    (folder / "gallery" / "labels.json").write_text("[]")
    return folder


@pytest.fixture
def told(monkeypatch):
    """What is said of dropped entries: the step and the sentence."""
    said = []

    def hear(event):
        if event.event == "warning":
            said.append((event.step, event.text))

    monkeypatch.setattr(StepCache, "emit", staticmethod(hear))
    return said


@pytest.fixture
def cache(tmp_path, told):
    return StepCache(str(tmp_path / "cache"))


@pytest.fixture
def key(cache, release):
    found = cache.compute_key(component_name="comp-index", **ARGUMENTS)
    cache.put(found, {"release": dsl.Model(name="release", uri=str(release)), "Output": 4})
    return found


def entry(cache, key):
    return Path(cache.cache_root) / f"{key}.json"


def flip_a_byte(release, entry):
    file, before = release / "weights.safetensors", (release / "weights.safetensors").stat()
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a failing disk does it


def truncate(release, entry):
    os.truncate(release / "weights.safetensors", 10)


def add_a_file(release, entry):
    (release / "more.txt").write_text("more")


def remove_a_file(release, entry):
    (release / "gallery" / "labels.json").unlink()


def remove_the_folder(release, entry):
    shutil.rmtree(release)


def put_a_file_in_its_place(release, entry):
    shutil.rmtree(release)
    release.write_text("a file")


def empty_the_entry(release, entry):
    entry.write_bytes(b"")


def garble_the_entry(release, entry):
    entry.write_bytes(b"\xff\xfe{{{")


def replace_the_entry(release, entry):
    entry.write_text('{"release": [1, 2, 3]}')


def list_in_place_of_the_entry(release, entry):
    entry.write_text("[]")


def folder_in_place_of_the_entry(release, entry):
    entry.unlink()
    entry.mkdir()
    (entry / "file").write_text("a file")


def dangling_link_in_place_of_the_entry(release, entry):
    entry.unlink()
    entry.symlink_to(entry.parent / "nowhere")


def remove_the_seal(release, entry):
    entry.with_suffix(".seal").unlink()


def garble_the_seal(release, entry):
    entry.with_suffix(".seal").write_bytes(b"[\xff")


DAMAGE_OF_THE_ARTIFACT = [flip_a_byte, truncate, add_a_file, remove_a_file, remove_the_folder, put_a_file_in_its_place]
DAMAGE_OF_THE_ENTRY = [
    empty_the_entry,
    garble_the_entry,
    replace_the_entry,
    list_in_place_of_the_entry,
    folder_in_place_of_the_entry,
    dangling_link_in_place_of_the_entry,
    remove_the_seal,
    garble_the_seal,
]


def test_a_finished_step_is_taken_as_it_was_left(cache, key, release, told):
    outputs = cache.get(key)
    assert outputs["Output"] == 4
    assert (outputs["release"].uri, type(outputs["release"])) == (str(release), dsl.Model)
    assert told == []


def test_a_step_that_never_ran_is_not_spoken_of(cache, told):
    assert cache.get(cache.compute_key(component_name="comp-train", **ARGUMENTS)) is None
    assert told == []


@pytest.mark.parametrize("damage", DAMAGE_OF_THE_ARTIFACT)
def test_a_changed_artifact_drops_its_entry_and_one_line_names_it_and_its_step(cache, key, release, told, damage):
    damage(release, entry(cache, key))
    assert cache.get(key) is None
    text = f"The artifact {release} was changed or removed since it was made. The step index runs again."
    assert told == [("index", text)]


@pytest.mark.parametrize("damage", DAMAGE_OF_THE_ENTRY)
def test_a_damaged_entry_is_dropped_and_one_line_names_it_and_its_step(cache, key, release, told, damage):
    damage(release, entry(cache, key))
    assert cache.get(key) is None
    ((step, text),) = told
    assert step == "index"
    assert text.startswith(f"{entry(cache, key)} ")
    assert text.endswith(" The step index runs again.")


@pytest.mark.parametrize("damage", [*DAMAGE_OF_THE_ARTIFACT, *DAMAGE_OF_THE_ENTRY])
def test_what_was_dropped_is_kept_anew(cache, key, release, told, tmp_path, damage):
    again = shutil.copytree(release, tmp_path / "artifacts" / "later" / "index" / "release")
    damage(release, entry(cache, key))
    cache.get(key)
    told.clear()
    assert cache.get(key) is None
    cache.put(key, {"release": dsl.Model(name="release", uri=str(again))})
    assert cache.get(key)["release"].uri == str(again)
    assert told == []


def test_lists_of_artifacts_are_sealed_and_object_stores_are_trusted(cache, release, told):
    key = cache.compute_key(component_name="comp-embed", **ARGUMENTS)
    shards = [dsl.Model(name="shard", uri=str(release)), dsl.Model(name="shard", uri="s3://bucket/shard")]
    cache.put(key, {"shards": shards})
    assert [each.uri for each in cache.get(key)["shards"]] == [str(release), "s3://bucket/shard"]
    truncate(release, entry(cache, key))
    assert cache.get(key) is None
    assert [step for step, _ in told] == ["embed"]
