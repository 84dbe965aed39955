"""The form of a request, taken apart within limits: of parts, and of each part that is no file."""

from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect

LIMITS = {"max_files": 100, "max_fields": 1000, "max_part_size": 2**20}
"""Maximum files and fields of a form, and bytes of a field. The parser itself allows 8 headers a part, of 4 KiB each."""


async def read_form(request: Request) -> FormData:
    """The form of a request, with its files. A second call gets the same.

    Raises:
        HTTPException: It has more parts than are taken, cannot be read, or stopped half way.
    """
    try:
        return await request.form(**LIMITS)
    except UnicodeError as error:  # of an encoding that it names itself
        raise HTTPException(400, "The form is in an encoding that is not read.") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "The form did not arrive whole.") from error


Form = Annotated[FormData, Depends(read_form)]
