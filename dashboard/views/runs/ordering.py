"""An order before its run is on record, and its end by a person."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from pipelines.queue.orders import OPEN, cancel, order_state

router = APIRouter()


@router.get("/runs/orders/{order_id}")
def order(request: Request, person: Viewer, order_id: str) -> Response:
    """An order that waits or was refused; its run's page once there is one."""
    state = order_state(request.app.state.environment, order_id)
    if state.run_id:
        return RedirectResponse(f"/runs/{state.run_id}", 303)
    return page(request, "runs/order.html", part="runs", order=state, open=state.state in OPEN)


@router.post("/runs/orders/{order_id}/cancel")
def cancelled(request: Request, person: Operator, order_id: str) -> Response:
    """Take an order out of the queue, or end its run as Ctrl-C does."""
    state = cancel(request.app.state.environment, order_id, by=person.name)
    return RedirectResponse(f"/runs/{state.run_id}" if state.run_id else f"/runs/orders/{order_id}", 303)
