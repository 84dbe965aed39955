"""How a version comes to serve, whichever server of models there is: archives, the records of what serves, and the rollout."""
