"""Whether the gateway of GLOCAL_HOME answers: `python -m serving.gateway.check`, exit code 0 or 1. Asked often, it is light."""

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

from model.files import read_json
from model.home import Home
from serving.protocol import local_address

_TIMEOUT_S = 4


def answers(home: Home) -> bool:
    """Whether the gateway that is on record in a home answers, whoever asks from wherever its network is."""
    try:
        address = local_address(int(read_json(home.serve.gateway)["port"]))
        with urlopen(f"{address}/healthz", timeout=_TIMEOUT_S) as answer:  # noqa: S310  # an address of our own
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError, KeyError, TypeError):
        return False


if __name__ == "__main__":
    sys.exit(0 if answers(Home.at(os.environ.get("GLOCAL_HOME") or ".glocal")) else 1)
