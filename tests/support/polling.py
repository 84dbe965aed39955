"""A client that asks again and again while something else happens."""

import threading
import time

from model.errors import GlocalError
from serving.local import local_client


class Polling(threading.Thread):
    """Notes the moments, the version and the release of each answer of a model, and every failure."""

    def __init__(self, home, name, image):
        super().__init__()
        self.seen, self.failed = [], []
        self._home, self._name, self._image, self._ended = home, name, image, threading.Event()

    def run(self):
        with local_client(self._home.serve) as client:
            while not self._ended.wait(0.05):
                began = time.time()
                try:
                    answer = client.search(self._image, 1, model=self._name)
                    self.seen.append((began, time.time(), answer.model_version, answer.release))
                except GlocalError as error:
                    self.failed.append(str(error))

    def versions(self, *, after=0.0, before=float("inf")):
        """The versions of the answers that were wholly given between two moments, in seconds since 1970."""
        return {version for began, ended, version, _ in self.seen if began > after and ended < before}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()
