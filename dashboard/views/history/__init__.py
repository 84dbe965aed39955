"""The history: what served when, who changed it and why, drawn and as a table; whether anybody changed it afterwards."""

from dashboard.views.history.views import router

__all__ = ["router"]
