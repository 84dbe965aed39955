"""The connection to Kubeflow Pipelines: KFP's own client with time limits, a renewed token, and errors in our words."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
from kfp import client as kfp_client
from kfp.client.token_credentials_base import TokenCredentialsBase
from kfp_server_api import ApiException

from model.cluster import Kubeflow
from model.errors import Conflict, Forbidden, GlocalError, InvalidInput, NotFound, Unauthorized, Unavailable
from model.text import excerpt, one_line

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_CONNECT_S = 10.0
_RETRIES = 1
_KINDS: dict[int, type[GlocalError]] = {400: InvalidInput, 403: Forbidden, 404: NotFound, 409: Conflict}
_BUSY, _FAILED = 429, 500
_UNAUTHORIZED = 401


class Connection:
    """A connection to Kubeflow Pipelines.

    Args:
        settings: How it is reached.

    Raises:
        InvalidInput: Its address is not known, or the token cannot be read.
        Unauthorized: The token is refused.
        Unavailable: It does not answer.
    """

    def __init__(self, settings: Kubeflow) -> None:
        self.settings = settings
        if not settings.address and not _kubernetes_is_known():
            raise InvalidInput(
                "The address of Kubeflow Pipelines is not known.",
                "Set GLOCAL_KUBEFLOW_HOST, such as http://127.0.0.1:8888 after "
                "kubectl port-forward -n kubeflow service/ml-pipeline 8888, or KUBECONFIG.",
            )
        with self.asking("for its state"):
            self.client = _Client(settings)

    @property
    def namespace(self) -> str | None:
        """The namespace of the runs; None where there is only one."""
        return self.settings.kubeflow_namespace or None

    @contextlib.contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Ask Kubeflow for something, and explain its errors. What its client prints is dropped: standard output is ours.

        Raises:
            Unauthorized, Forbidden, NotFound, Conflict, InvalidInput: Kubeflow refuses.
            Unavailable: It does not answer, not in time, or with a fault of its own.
        """
        where = self.settings.address or "the cluster of KUBECONFIG"
        try:
            with contextlib.redirect_stdout(_Nowhere()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except ApiException as error:
            raise _explained(error, what, where) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise Unavailable(
                f"Kubeflow at {where} does not answer, asked {what}: {excerpt(one_line(str(reason)))}",
                "Is it running, and GLOCAL_KUBEFLOW_HOST its address?",
            ) from error


class _Nowhere:
    """A stream that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """There is nothing to write."""


class _TokenFile(TokenCredentialsBase):  # type: ignore[misc]  # KFP has no types
    """The token in a file, read before every call: Kubernetes renews the tokens of its service accounts in place."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def refresh_api_key_hook(self, config: Any) -> None:
        try:
            config.api_key["authorization"] = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            hint = "See GLOCAL_KUBEFLOW_TOKEN_FILE."
            raise InvalidInput(f"The token for Kubeflow cannot be read: {error}", hint) from error


class _Client(kfp_client.Client):  # type: ignore[misc]  # KFP has no types
    """KFP's client with time limits, and without files of its own: a pod's file system may be read-only."""

    def __init__(self, settings: Kubeflow) -> None:
        self._settings = settings
        file = settings.kubeflow_token_file
        super().__init__(
            host=settings.address or None,
            credentials=_TokenFile(file) if file else None,
            ssl_ca_cert=str(settings.kubeflow_ca_file) if settings.kubeflow_ca_file else None,
        )
        self._limit()

    def _load_config(self, *arguments: Any) -> Any:
        config = super()._load_config(*arguments)
        config.retries = _RETRIES
        return config

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """What Kubeflow says of itself, asked once: KFP's own method reports a refused token after half a minute."""
        self._limit()  # the constructor asks as well
        return self._healthz_api.healthz_service_get_healthz()

    def set_user_namespace(self, namespace: str) -> None:
        """Set the namespace, and write no file."""
        self._context_setting["namespace"] = namespace

    def _limit(self) -> None:
        """Give every call a time limit: KFP's client has none, so one lost packet would let it wait for ever."""
        rest = self._healthz_api.api_client.rest_client
        if hasattr(rest, "limited"):
            return
        ask, rest.limited = rest.request, True
        limit = (min(_CONNECT_S, self._settings.kubeflow_timeout_s), self._settings.kubeflow_timeout_s)

        def request(*arguments: Any, _request_timeout: Any = None, **more: Any) -> Any:
            return ask(*arguments, _request_timeout=_request_timeout or limit, **more)

        rest.request = request


def _kubernetes_is_known() -> bool:
    """Whether KFP's client finds a cluster without an address."""
    named = os.environ.get("KUBECONFIG", "")
    return bool(named) or _IN_CLUSTER.is_file() or (Path.home() / ".kube" / "config").is_file()


def _explained(error: ApiException, what: str, where: str) -> GlocalError:
    """An error of Kubeflow's in our words."""
    status = int(error.status or 0)
    said = f"Kubeflow at {where}, asked {what}, says: {_said(error)}"
    if status == _UNAUTHORIZED:
        hint = "It may have expired: renew the token in GLOCAL_KUBEFLOW_TOKEN_FILE."
        return Unauthorized(f"Kubeflow at {where} refuses the token.", hint)
    if status == _BUSY or status >= _FAILED or status == 0:
        return Unavailable(said, "The logs of its pods ml-pipeline say more: kubectl logs -n kubeflow deployment/ml-pipeline")
    hint = "May the service account do this in GLOCAL_KUBEFLOW_NAMESPACE?" if status == 403 else ""
    return _KINDS.get(status, GlocalError)(said, hint)


def _said(error: ApiException) -> str:
    """The message in an answer; the reason where there is none."""
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body or ""
    with contextlib.suppress(ValueError, TypeError):
        answer = json.loads(body)
        if isinstance(answer, dict) and (message := answer.get("message") or answer.get("error")):
            return excerpt(one_line(str(message)))
    return excerpt(one_line(body)) or f"{error.status} {error.reason}"
