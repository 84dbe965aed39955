"""Which versions saw an image, or a data set: trained on it, tested on it, or hold it in their gallery."""

import hashlib
import re
from typing import Annotated

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Viewer
from model.data.decoding.limits import MAX_BYTES
from model.errors import GlocalError, InvalidInput, TooLarge

router = APIRouter(include_in_schema=False)
_MD5 = re.compile(r"[0-9a-f]{32}")


@router.get("/models/lineage")
def uses(request: Request, person: Viewer, image: str = "", data: str = "") -> Response:
    """The versions that saw an image, by the MD5 of its bytes, or a data set.

    Args:
        request: The request.
        person: Who asks.
        image: MD5 of an image.
        data: Name of a data set, or name@revision.
    """
    from serving.data_uses import uses_of_content, uses_of_data

    environment, found, error = request.app.state.environment, None, None
    image, data = image.strip().lower(), data.strip()
    try:
        if image and not _MD5.fullmatch(image):
            raise InvalidInput("An image is named by the MD5 of its bytes: 32 hexadecimal digits.", "Or choose its file.")
        if image:
            found = uses_of_content(environment.home, environment.mlflow_uri, image)
        elif data:
            found = uses_of_data(environment.home, environment.mlflow_uri, data)
    except GlocalError as mistake:
        error = mistake
    status = error.http_status if error else 200
    return page(request, "models/uses.html", part="models", status=status, found=found, image=image, data=data, error=error)


@router.post("/models/lineage")
def uses_of_file(request: Request, person: Viewer, file: Annotated[UploadFile, File()]) -> Response:
    """Look for an uploaded image: its bytes are hashed, and neither decoded nor kept."""
    content = file.file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLarge(f"The image has more than {MAX_BYTES // 2**20} MiB.", "Choose a smaller one.")
    if not content:
        raise InvalidInput("No image was chosen.", "Choose a file.")
    return RedirectResponse(f"/models/lineage?image={hashlib.md5(content, usedforsecurity=False).hexdigest()}", 303)
