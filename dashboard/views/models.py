"""Models: versions, what a change would change, and the changes: promote, approve, refuse, roll back, shadow, canary."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
