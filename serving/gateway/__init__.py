"""The gateway: the only door to a served model. It checks keys and limits, and asks the backend."""
