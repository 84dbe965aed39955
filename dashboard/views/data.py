"""Data sets: revisions, classes, images, what is suspicious in them, and the difference of two revisions."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
