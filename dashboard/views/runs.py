"""Runs: the list, the form that starts one, one run while it is under way and after, and several side by side."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
