"""Trying the endpoint: an image and an operation, the answer drawn; corrections; new objects."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
