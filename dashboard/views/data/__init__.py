"""Data sets: revisions, classes, images, what is suspicious in them, and the difference of two revisions."""

from fastapi import APIRouter

from dashboard.views.data import alike, comparing, importing, listing, samples, version

router = APIRouter(include_in_schema=False)
for part in (importing, listing, samples, alike, comparing, version):
    router.include_router(part.router)
