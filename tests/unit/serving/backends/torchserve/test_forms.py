"""The class that makes TorchServe answer a form it cannot decode with a 4xx. The endpoint's own test shows it at work."""

import zipfile

from serving.backends.torchserve.forms import _CLASS, write_form_class


def jar(folder, **entries):
    path = folder / "server.jar"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_the_parent_class_is_exchanged_and_nothing_else(tmp_path):
    parent = b"io/netty/handler/codec/DecoderException"
    original = b"\xca\xfe" + b"\x01" + len(parent).to_bytes(2, "big") + parent + b"rest"
    write_form_class(jar(tmp_path, **{_CLASS: original}), tmp_path / "classes")
    changed = (tmp_path / "classes" / _CLASS).read_bytes()
    assert changed == b"\xca\xfe\x01\x00\x22java/lang/IllegalArgumentExceptionrest"


def test_an_archive_of_another_make_is_left_as_it_is(tmp_path):
    write_form_class(jar(tmp_path, other=b"x"), tmp_path / "classes")
    write_form_class(jar(tmp_path, **{_CLASS: b"no such parent"}), tmp_path / "classes")
    assert not (tmp_path / "classes").exists()
