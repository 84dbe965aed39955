"""The process of a loaded version: `python -m serving.backends.litserve FOLDER WORKERS`. The module `process` starts it."""

import sys
from pathlib import Path

import litserve

from serving.backends.litserve.api import EngineApi
from serving.backends.litserve.door import PREDICT, Door
from serving.backends.litserve.process import Place, record_self
from serving.backends.port import RESPONSE_S
from serving.limits import MAX_BODY
from serving.operations.envelope import MAX_HEAD
from serving.processes import bind_port
from serving.protocol import LOOPBACK


def main(root: Path, workers: int) -> None:
    """Serve until a signal ends it."""
    with bind_port() as held:  # from now on, so that nobody else gets the port and with it queries and the token
        running = record_self(Place(root), workers, held.getsockname()[1])
        api = EngineApi(root)
        api.api_path = PREDICT
        server = litserve.LitServer(
            api,
            accelerator="cpu",
            workers_per_device=workers,
            timeout=RESPONSE_S,
            max_payload_size=MAX_BODY + MAX_HEAD + 4096,
            restart_workers=True,
            disable_openapi_url=True,
            middlewares=[(Door, {"root": root, "token": running.token, "workers": workers})],
        )
        # in a thread, as only then LitServe tells the requests of a worker that died
        server.run(
            host=LOOPBACK,
            port=running.port,
            fd=held.fileno(),
            num_api_servers=1,
            api_server_worker_type="thread",
            generate_client_file=False,
            log_level="warning",
            timeout_keep_alive=60,  # longer than the gateway keeps a connection, so that none is closed under a query
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
