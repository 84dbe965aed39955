"""The container images that the components run in: the project's own, so that nothing is installed when a step starts."""

from model.containers import Images

IMAGE = Images().image
"""Image of every component but `train`."""
TRAIN_IMAGE = Images().train_image
"""Image of the component `train`, the only one that uses a GPU."""
