"""What a correction sends along, signed by this home: which answer to which image it corrects. Nothing of it is stored here."""

import hashlib

from itsdangerous import BadSignature, URLSafeTimedSerializer

from dashboard.views.trying.answers import said_of
from dashboard.views.trying.served import Served
from model.errors import InvalidInput
from model.schemas.correction import Asked
from serving.operations.operation import Answer

_KEPT_S = 24 * 3600
"""Seconds in which an answer can be corrected."""


class Tokens:
    """Signs and reads what corrections send along.

    Args:
        key: The secret of this home's sessions.
    """

    def __init__(self, key: str) -> None:
        self._signer = URLSafeTimedSerializer(key, salt="correction", signer_kwargs={"digest_method": hashlib.sha256})

    def sign(self, answer: Answer, operation: str, served: Served, image: bytes) -> str:
        """The token of an answer to an image."""
        asked = Asked(
            operation=operation,
            model=served.model,
            model_version=answer.model_version or served.version,
            release=answer.release,
            said=said_of(answer),
            sha256=hashlib.sha256(image).hexdigest(),
        )
        return str(self._signer.dumps(asked.model_dump(mode="json")))

    def read(self, token: str) -> Asked:
        """What was asked and answered.

        Raises:
            InvalidInput: The token is not ours, or too old.
        """
        try:
            return Asked.model_validate(self._signer.loads(token, max_age=_KEPT_S))
        except (BadSignature, ValueError) as error:
            raise InvalidInput("This answer is too old to be corrected.", "Ask about the image once more.") from error
