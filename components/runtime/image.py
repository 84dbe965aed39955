"""The container image every component runs in: the project's own, so that nothing is installed when a step starts."""

import os

IMAGE = os.environ.get("GLOCAL_IMAGE", "glocal/python:0.1.0")
