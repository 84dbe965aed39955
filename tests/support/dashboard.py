"""The dashboard's application in this process, and people who ask it."""

import html
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import uvicorn
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from dashboard.app import make_app
from dashboard.security.people import Role
from model.environment import Environment
from pipelines.actions.action import API, ASYNC
from serving.gateway.http import make_config
from serving.gateway.keys import Scope, create_key
from serving.processes import bind_port, wait_until

ADDRESS = "http://127.0.0.1:8090"


def text(answer):
    """What an answer's page says, without its tags."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.text).split()))


class Browser:
    """A person's browser: a session, its cookie, and forms that are sent as our pages send them.

    Args:
        environment: The home that the dashboard shows.
        role: The person's role; None: nobody has signed in.
        name: The person's name.
    """

    def __init__(self, environment: Environment, role: Role | None = Role.ADMIN, name: str = "ana"):
        self.app = make_app(environment, address=ADDRESS)
        self.client = TestClient(self.app, base_url=ADDRESS, follow_redirects=False, raise_server_exceptions=False)
        self.csrf = ""
        if role is not None:
            sessions = self.app.state.sessions
            cookie = sessions.begin(name, role)
            self.csrf = sessions.person(cookie).csrf
            self.client.cookies.set(self.app.state.cookie, cookie)

    def get(self, path, **more):
        return self.client.get(path, headers={"Accept": "text/html", **more.pop("headers", {})}, **more)

    def post(self, path, data=None, **more):
        headers = {"Origin": ADDRESS, "Accept": "text/html", **more.pop("headers", {})}
        return self.client.post(path, data={"csrf": self.csrf, **(data or {})}, headers=headers, **more)

    def hidden(self, path):
        """The hidden fields of a page's forms, by name."""
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.get(path).text))

    def fill(self, path, **typed):
        """Fill in the form of a page as a person does, and send it to the same address."""
        return self.post(path, {**self.hidden(path), **typed})


def program(environment, name="a program"):
    """A program that asks the API with the key of an operator."""
    _, secret = create_key(environment.home.serve, name, [Scope.CALLER, Scope.OPERATOR])
    client = Browser(environment, role=None).client
    client.headers.update({"Authorization": f"Bearer {secret}"})
    return client


def ask_elsewhere(monkeypatch, environment, address, nothing, *, name="ana", scopes=(Scope.CALLER, Scope.OPERATOR)):
    """Let this process ask the dashboard at an address with a key of its home; its own home is `nothing`, which is not there."""
    _, secret = create_key(environment.home.serve, name, list(scopes))
    monkeypatch.setenv("GLOCAL_SERVER", address)
    monkeypatch.setenv("GLOCAL_KEY", secret)
    monkeypatch.setenv("GLOCAL_HOME", str(nothing))


@contextmanager
def programs(environment, address, *names):
    """Programs that ask the dashboard at an address, each with the key of an operator of its own."""
    with ExitStack() as stack:
        made = []
        for name in names:
            _, secret = create_key(environment.home.serve, name, [Scope.CALLER, Scope.OPERATOR])
            headers = {"Authorization": f"Bearer {secret}", "Prefer": ASYNC}
            made.append(stack.enter_context(httpx.Client(base_url=address + API, headers=headers, timeout=120, trust_env=False)))
        yield made


def followed(client, begun):
    """The job that a program has begun, once it has ended."""
    assert begun.status_code == 202, begun.text
    place = begun.headers["Location"].removeprefix(API)
    while (job := client.get(place, params={"wait_s": 30}).json())["state"] == "running":
        pass
    return job


def at_once(*calls):
    """What each call returned; all of them begin at the same moment."""
    ready = threading.Barrier(len(calls), timeout=30)

    def call(each):
        ready.wait()
        return each()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result() for done in [pool.submit(call, each) for each in calls]]


def addresses(app):
    """Every address of the application with each of its methods."""
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            yield route.path, method


@contextmanager
def serving_dashboard(environment):
    """The dashboard by HTTP on a free port of loopback; yields its address."""
    with bind_port() as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = make_config(make_app(environment, address=address))
        config.lifespan = "on"
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert wait_until(lambda: server.started, deadline_s=30)
        yield address
        server.should_exit = True
        thread.join(30)
