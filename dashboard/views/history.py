"""The history: what served when, who changed it and why."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
