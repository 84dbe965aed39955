"""A server that speaks the part of Kubeflow Pipelines' published API, v2beta1, which its client is asked for here.

It keeps experiments, pipelines, versions, runs and recurring runs. What it takes and gives is read and written by the models of
`kfp_server_api`, which are generated from that API: an unknown field, or one of another type, is refused. Tests give it faults.

It is no Kubeflow: what a run does there is what a test says, or `kubeflow_pods.Cluster`, which runs the pipeline on this machine.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import kfp_server_api as api
import uvicorn
import yaml
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}
"""gRPC's code of each HTTP status, as Kubeflow's gateway gives both."""
_CRON_FIELDS = 6
_models = api.ApiClient()


@dataclass
class Kubeflow:
    """The server's state.

    Attributes:
        token: Bearer token that it wants; empty: none.
        faults: Called one by one with the next requests; what each returns is the answer, if it returns one.
        lost: Ends of addresses, such as `/runs`, to which a POST is done and whose answer is lost, once each.
        requests: Method and path of every request.
        started: Called with every new run.
        ended: Called with every run that is to be terminated.
    """

    host: str = ""
    token: str = ""
    namespace: str = ""
    faults: list[Callable[[Request], Response | None]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    started: Callable[[api.V2beta1Run, str], None] = lambda run, spec: None
    ended: Callable[[api.V2beta1Run], None] = lambda run: setattr(run, "state", "CANCELED")
    experiments: dict[str, Any] = field(default_factory=dict)
    pipelines: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    specs: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    recurring: dict[str, Any] = field(default_factory=dict)

    def task(self, run_id: str, name: str, state: str, error: str = "", seconds: float = 1.0) -> None:
        """Let a task of a run be in a state, with the task of Kubeflow's own that it has beside it."""
        run, now = self.runs[run_id], datetime.now(UTC)
        details = run.run_details or api.V2beta1RunDetails(task_details=[])
        kept = [each for each in details.task_details if each.display_name not in {name, f"{name}-driver"}]
        ended = now if state in {"SUCCEEDED", "FAILED", "SKIPPED"} else None
        for each, its in ((f"{name}-driver", "SUCCEEDED"), (name, state)):
            kept.append(
                api.V2beta1PipelineTaskDetail(
                    run_id=run_id,
                    task_id=f"{run_id}-{each}",
                    display_name=each,
                    create_time=now,
                    start_time=datetime.fromtimestamp(now.timestamp() - seconds, UTC),
                    end_time=now if its == "SUCCEEDED" and each != name else ended,
                    state=its,
                    error=api.GoogleRpcStatus(code=2, message=error) if error and each == name else None,
                )
            )
        details.task_details = kept
        run.run_details = details

    def end(self, run_id: str, state: str, error: str = "") -> None:
        """Let a run end."""
        run = self.runs[run_id]
        run.error = api.GoogleRpcStatus(code=2, message=error) if error else None
        run.finished_at, run.state = datetime.now(UTC), state


@contextmanager
def kubeflow(**given: Any):
    """The server on a free port, for a block."""
    state = Kubeflow(**given)
    server = uvicorn.Server(uvicorn.Config(_app(state), host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    state.host = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.should_exit = True
        thread.join()


def refused(status: int, message: str) -> JSONResponse:
    """An error as Kubeflow's gateway writes it."""
    return JSONResponse({"error": message, "code": CODES[status], "message": message, "details": []}, status)


def _app(state: Kubeflow) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, answer: Any) -> Response:
        state.requests.append(f"{request.method} {request.url.path.removeprefix('/apis/v2beta1')}")
        if state.token and request.headers.get("authorization") != f"Bearer {state.token}":
            return refused(401, "Unauthenticated: the token is missing, invalid or expired")
        if state.faults and (said := state.faults.pop(0)(request)):
            return said
        done = await answer(request)
        if lost := next((each for each in state.lost if request.method == "POST" and request.url.path.endswith(each)), None):
            state.lost.remove(lost)
            return refused(503, "upstream connect error: the answer was lost")
        return done

    @app.exception_handler(HTTPException)
    async def explain(_: Request, error: HTTPException) -> Response:
        return refused(error.status_code, str(error.detail))

    _services(app, state)
    return app


def _services(app: FastAPI, state: Kubeflow) -> None:
    root = "/apis/v2beta1"

    @app.get(f"{root}/healthz")
    def healthz() -> Response:
        return _written(api.V2beta1GetHealthzResponse(multi_user=bool(state.namespace), pipeline_store="database"))

    _experiments(app, state, root)
    _pipelines(app, state, root)
    _runs(app, state, root)
    _recurring(app, state, root)


def _experiments(app: FastAPI, state: Kubeflow, root: str) -> None:
    @app.post(f"{root}/experiments")
    async def create(request: Request) -> Response:
        given = await _read(request, api.V2beta1Experiment)
        if any(each.display_name == given.display_name for each in state.experiments.values()):
            raise HTTPException(409, "Already exist error: Failed to create a new experiment")
        given.experiment_id, given.created_at = str(uuid.uuid4()), datetime.now(UTC)
        state.experiments[given.experiment_id] = given
        return _written(given)

    _lists(app, state, f"{root}/experiments", state.experiments, api.V2beta1ListExperimentsResponse, "experiments")


def _pipelines(app: FastAPI, state: Kubeflow, root: str) -> None:
    @app.post(f"{root}/pipelines")
    async def create(request: Request) -> Response:
        given = await _read(request, api.V2beta1Pipeline)
        if any(each.display_name == given.display_name for each in state.pipelines.values()):
            raise HTTPException(
                409, f"Already exist error: The name {given.display_name} already exist. Please specify a new name"
            )
        given.pipeline_id, given.created_at = str(uuid.uuid4()), datetime.now(UTC)
        state.pipelines[given.pipeline_id] = given
        return _written(given)

    _lists(app, state, f"{root}/pipelines", state.pipelines, api.V2beta1ListPipelinesResponse, "pipelines")

    @app.post(f"{root}/pipelines/upload_version")
    async def upload(request: Request) -> Response:
        asked = request.query_params
        if asked.get("pipelineid") not in state.pipelines:
            raise HTTPException(404, "Failed to upload a pipeline version: the pipeline was not found")
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", asked.get("name", "")):  # the names of Kubernetes
            raise HTTPException(400, f"Invalid input error: the name {asked.get('name')!r} is no DNS label")
        text = (await (await request.form())["uploadfile"].read()).decode()
        pipeline, *platforms = yaml.safe_load_all(text)
        mine = [each for each in state.versions.values() if each.pipeline_id == asked["pipelineid"]]
        if any(each.display_name == asked["name"] for each in mine):  # nothing is awaited from here on
            raise HTTPException(409, "Already exist error: Failed to create a pipeline version")
        made = api.V2beta1PipelineVersion(
            pipeline_id=asked["pipelineid"],
            pipeline_version_id=str(uuid.uuid4()),
            display_name=asked["name"],
            name=asked["name"],
            description=asked.get("description"),
            created_at=datetime.now(UTC),
            pipeline_spec={"pipeline_spec": pipeline, "platform_spec": platforms[0] if platforms else {}},
        )
        state.versions[made.pipeline_version_id], state.specs[made.pipeline_version_id] = made, text
        return _written(made)

    @app.get(f"{root}/pipelines/{{pipeline_id}}/versions")
    def versions(pipeline_id: str, request: Request) -> Response:
        mine = [each for each in state.versions.values() if each.pipeline_id == pipeline_id]
        found, token = _page(state, mine, request)
        return _written(
            api.V2beta1ListPipelineVersionsResponse(pipeline_versions=found, next_page_token=token, total_size=len(found))
        )


def _runs(app: FastAPI, state: Kubeflow, root: str) -> None:
    @app.post(f"{root}/runs")
    async def create(request: Request) -> Response:
        given = await _read(request, api.V2beta1Run)
        version = _version(state, given)
        given.run_id, given.created_at, given.state = str(uuid.uuid4()), datetime.now(UTC), "PENDING"
        state.runs[given.run_id] = given
        state.started(given, state.specs[version.pipeline_version_id])
        return _written(given)

    _lists(app, state, f"{root}/runs", state.runs, api.V2beta1ListRunsResponse, "runs")

    @app.post(f"{root}/runs/{{run_id}}:terminate")
    def terminate(run_id: str) -> Response:
        state.ended(_found(state.runs, run_id, "Run"))
        return JSONResponse({})

    @app.get(f"{root}/runs/{{run_id}}")
    def one(run_id: str) -> Response:
        return _written(_found(state.runs, run_id, "Run"))


def _recurring(app: FastAPI, state: Kubeflow, root: str) -> None:
    @app.post(f"{root}/recurringruns")
    async def create(request: Request) -> Response:
        given = await _read(request, api.V2beta1RecurringRun)
        _version(state, given)
        if len(given.trigger.cron_schedule.cron.split()) != _CRON_FIELDS:
            raise HTTPException(400, "Invalid input error: Schedule cron is not a supported format")
        if not 1 <= int(given.max_concurrency) <= 10:  # Kubeflow's own bound
            raise HTTPException(400, "Invalid input error: max_concurrency should be between 1 and 10")
        given.recurring_run_id, given.created_at = str(uuid.uuid4()), datetime.now(UTC)
        given.status = "ENABLED" if given.mode == "ENABLE" else "DISABLED"
        state.recurring[given.recurring_run_id] = given
        return _written(given)

    _lists(app, state, f"{root}/recurringruns", state.recurring, api.V2beta1ListRecurringRunsResponse, "recurring_runs")

    @app.post(f"{root}/recurringruns/{{identity}}:{{change}}")
    def change(identity: str, change: str) -> Response:
        changed = _found(state.recurring, identity, "RecurringRun")
        changed.mode, changed.status = {"enable": ("ENABLE", "ENABLED"), "disable": ("DISABLE", "DISABLED")}[change]
        return JSONResponse({})

    @app.get(f"{root}/recurringruns/{{identity}}")
    def one(identity: str) -> Response:
        return _written(_found(state.recurring, identity, "RecurringRun"))

    @app.delete(f"{root}/recurringruns/{{identity}}")
    def delete(identity: str) -> Response:
        _found(state.recurring, identity, "RecurringRun")
        del state.recurring[identity]
        return JSONResponse({})


def _lists(app: FastAPI, state: Kubeflow, address: str, kept: dict[str, Any], kind: Callable[..., Any], field: str) -> None:
    """An address that lists what is kept, page by page."""

    @app.get(address)
    def listed(request: Request) -> Response:
        found, token = _page(state, kept.values(), request)
        return _written(kind(**{field: found}, next_page_token=token, total_size=len(found)))


def _version(state: Kubeflow, given: Any) -> Any:
    """The version that is to run. Its parameters are checked as Kubeflow does."""
    if given.experiment_id not in state.experiments:
        raise HTTPException(404, "ResourceNotFoundError: Experiment not found")
    reference = given.pipeline_version_reference
    version = _found(state.versions, reference.pipeline_version_id if reference else "", "PipelineVersion")
    known = version.pipeline_spec["pipeline_spec"]["root"].get("inputDefinitions", {}).get("parameters", {})
    asked = given.runtime_config.parameters or {}
    if unknown := asked.keys() - known.keys():
        raise HTTPException(400, f"Invalid input error: Unknown parameters {sorted(unknown)}")
    needed = {name for name, each in known.items() if "defaultValue" not in each and not each.get("isOptional")}
    if missing := needed - asked.keys():
        raise HTTPException(400, f"Invalid input error: Required input parameters {sorted(missing)} are missing")
    return version


def _found(kept: dict[str, Any], identity: str, kind: str) -> Any:
    if identity not in kept:
        raise HTTPException(404, f"ResourceNotFoundError: {kind} {identity} not found")
    return kept[identity]


def _page(state: Kubeflow, kept: Any, request: Request) -> tuple[list[Any], str]:
    """The page of what is asked for, and the token of the next."""
    asked = request.query_params
    found = list(kept)
    if state.namespace and asked.get("namespace", state.namespace) != state.namespace:
        raise HTTPException(403, f"Unauthorized access to the namespace {asked['namespace']}")
    if given := asked.get("experiment_id"):
        found = [each for each in found if each.experiment_id == given]
    for each in json.loads(asked.get("filter") or "{}").get("predicates", []):
        assert each["operation"] in {1, "EQUALS"}
        found = [one for one in found if getattr(one, each["key"]) == each["stringValue"]]
    start, size = int(asked.get("page_token") or 0), int(asked.get("page_size") or 10)
    return found[start : start + size], str(start + size) if len(found) > start + size else ""


async def _read(request: Request, kind: type) -> Any:
    """The body as a model of the API."""
    body = await request.body()
    if unknown := json.loads(body).keys() - set(kind.attribute_map.values()):
        raise HTTPException(400, f"Invalid input error: unknown fields {sorted(unknown)}")
    return _models.deserialize(SimpleNamespace(data=body), kind)


def _written(model: Any) -> Response:
    """A model as the API writes it, after it was read once more."""
    body = _models.sanitize_for_serialization(model)
    _models.deserialize(SimpleNamespace(data=json.dumps(body)), type(model))
    return JSONResponse(body)
