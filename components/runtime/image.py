"""The container images that the components run in: the project's own, so that nothing is installed when a step starts."""

from model.containers import Images

IMAGE = Images().image
"""Image of every component."""
TRAIN_IMAGE = Images().train_image
"""Image of the components that a GPU makes fast."""
