"""Trying the endpoint: an image and an operation, the answer drawn; corrections; new objects."""

from fastapi import APIRouter

from dashboard.views.trying import asking, correcting, enrolling

router = APIRouter(include_in_schema=False)
for each in (asking, correcting, enrolling):
    router.include_router(each.router)
