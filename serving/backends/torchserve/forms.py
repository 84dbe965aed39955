"""A web form that cannot be decoded gets a 403 from TorchServe, not a 500.

Curl sends a body as a web form unless a content type is given, and TorchServe decodes a form before our handler sees it. Bytes
that are no form, such as those of most images, make Netty's decoder raise an exception that TorchServe answers with a 500,
'fault of the server'. We give this exception another parent class, Java's IllegalArgumentException,
which TorchServe answers with a 403. (Its exceptions for a 400 lack constructors that Netty's calls.) The changed class lies in
a folder that comes before TorchServe's archive on the class path.
"""

import zipfile
from pathlib import Path

_CLASS = "io/netty/handler/codec/http/multipart/HttpPostRequestDecoder$ErrorDataDecoderException.class"
_PARENT = b"io/netty/handler/codec/DecoderException"
_NEW_PARENT = b"java/lang/IllegalArgumentException"


def write_form_class(jar: Path, folder: Path) -> None:
    """Write Netty's exception for forms with its parent class replaced.

    Args:
        jar: TorchServe's archive of classes. Without that class in it nothing is written, and a 500 stays a 500.
        folder: The folder of classes.
    """
    with zipfile.ZipFile(jar) as archive:
        original = archive.read(_CLASS) if _CLASS in archive.namelist() else b""
    text, changed = (_constant(name) for name in (_PARENT, _NEW_PARENT))
    if original.count(text) == 1:
        file = folder / _CLASS
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(original.replace(text, changed))


def _constant(text: bytes) -> bytes:
    """A text in the form of class files: a tag, the length, the bytes (JVM specification, 4.4.7)."""
    return b"\x01" + len(text).to_bytes(2, "big") + text
