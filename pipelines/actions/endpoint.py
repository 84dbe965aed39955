"""Actions on the endpoint."""

from model.schemas.status import ServerStatus
from pipelines.actions.action import Caller, action


@action("GET", "/endpoint")
def show_endpoint(caller: Caller) -> ServerStatus:
    """The endpoint: whether it runs, what serves, and differences between the records."""
    from serving.reconcile import server_status

    return server_status(caller.environment.home, caller.environment.mlflow_uri)
