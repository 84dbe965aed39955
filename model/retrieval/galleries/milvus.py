"""A gallery whose vectors lie in a Milvus collection, for more than one machine holds. Ids, classes and groups stay in the
release.

The collection is named for the registry that it belongs to, its embedding space and its vectors, and its vector field for the
space: a search in another space finds no field. `glocal gc` drops the collections of its registry that no release names any more.

The address and the token are `GLOCAL_MILVUS_URI` and `GLOCAL_MILVUS_TOKEN`. The path of a file opens Milvus Lite, which is for
tries: one process at a time may use it, and it compares every entry.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.environment import Environment
from model.errors import Conflict, InvalidInput, NotFound, Unavailable
from model.retrieval.galleries.arrays import blocks
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.exact import Nearest, clamped_k, merged
from model.retrieval.galleries.recall import fewest, hold_out, sampled_rows
from model.schemas.gallery_record import GalleryRecord, MilvusIndex

MOST_NEIGHBOURS = 16_384
"""Largest k that Milvus takes, one less for the searches that measure the recall."""
_AT_ONCE = 10_000
"""Rows that one request names."""
_ROW = "id"
_TIMEOUT_S = 30
_GRAPH = {"M": 16, "efConstruction": 200}
_LARGEST_EF = 4096


@dataclass(frozen=True)
class MilvusGallery:
    """A gallery in a collection that is as its release says.

    Attributes:
        entries: Ids, classes and groups.
        dimensions: Length of a vector.
        index: The collection, and how it is searched.
        space: Id of the embedding space.
        client: A connected `pymilvus.MilvusClient`.
    """

    entries: Entries
    dimensions: int
    index: MilvusIndex
    space: str
    client: Any

    def __len__(self) -> int:
        return len(self.entries)

    def search(self, queries: NDArray[np.float32], k: int, *, among: NDArray[np.int64] | None = None) -> Nearest:
        """See `Gallery.search`.

        Raises:
            InvalidInput: k is below 1 or larger than Milvus takes, or the queries are not unit vectors.
            Unavailable: Milvus does not answer.
        """
        k = clamped_k(queries, k, len(self), among)
        if k > MOST_NEIGHBOURS:
            raise InvalidInput(f"A gallery in Milvus is searched for at most {MOST_NEIGHBOURS} neighbours, not {k}.")
        parts = [None] if among is None else [among[start : start + _AT_ONCE] for start in range(0, len(among), _AT_ONCE)]
        asked = parts if k and len(queries) else []
        name, ef = self.index.collection, self.index.ef
        found = (_search(self.client, name, self.space, queries, k, ef, part) for part in asked)
        return merged(found, len(queries), k)

    def embeddings(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Gallery.embeddings`."""
        vectors, field = np.empty((len(rows), self.dimensions), np.float32), _field(self.space)
        for start in range(0, len(rows), 1000):
            part = rows[start : start + 1000].tolist()
            with _asked():
                found = self.client.query(self.index.collection, ids=part, output_fields=[field], timeout=_TIMEOUT_S)
            by_row = {each[_ROW]: each[field] for each in found}
            vectors[start : start + len(part)] = [by_row[row] for row in part]
        return vectors


def store_in_milvus(vectors: NDArray[np.float32], space: str, sha256: str, min_recall: float) -> MilvusIndex:
    """Write vectors into the collection that is named for them, and choose how deep it is searched.

    A collection of the same vectors that is there already is completed.

    Args:
        vectors: (N, D) float32, L2-normalised; they may be memory-mapped.
        space: Id of their embedding space.
        sha256: Hash of vectors.npy.
        min_recall: Least share of the 10 true nearest neighbours that must be found.

    Raises:
        InvalidInput: There is no address, or the recall is not reached.
        Unavailable: Milvus does not answer.
    """
    client, name, field = connect(), collection_of(space, sha256), _field(space)
    with _asked():
        if not client.has_collection(name, timeout=_TIMEOUT_S):
            _create(client, name, field, vectors.shape[1])
        for block in blocks(*vectors.shape):
            rows = range(len(vectors))[block]
            members = [{_ROW: row, field: vector} for row, vector in zip(rows, vectors[block], strict=True)]
            client.upsert(name, members, timeout=_TIMEOUT_S)
        client.flush(name, timeout=_TIMEOUT_S)
    sampled = sampled_rows(len(vectors))
    held_out = hold_out(vectors, sampled)
    ef, recall = fewest(
        lambda ef: held_out.recalls(lambda queries, k: _search(client, name, space, queries, k, ef)), 16, _LARGEST_EF, min_recall
    )
    if recall < min_recall:
        raise InvalidInput(f"Milvus finds {recall:.4f} of the nearest, not {min_recall}.", "Set a lower index.min_recall.")
    return MilvusIndex(collection=name, ef=ef, recall_at_10=round(recall, 4), queries=len(sampled))


def open_in_milvus(record: GalleryRecord, index: MilvusIndex, entries: Entries) -> MilvusGallery:
    """The gallery of a record, after a check that the collection is of its space and as large as it.

    Raises:
        NotFound: Milvus has no such collection.
        Conflict: The collection is of other vectors, of another space, or has another number of entries.
        InvalidInput: There is no address.
        Unavailable: Milvus does not answer.
    """
    name, space, hint = index.collection, record.embedding_space_id, "Run the pipeline again, which writes it anew."
    if not name.endswith(_suffix(space, record.vectors_sha256)):  # whichever registry it belongs to
        raise Conflict(f"The collection {name} is not named for the vectors of this gallery.", hint)
    client = connect()
    with _asked():
        if not client.has_collection(name, timeout=_TIMEOUT_S):
            raise NotFound(f"Milvus has no collection {name}.", hint)
        fields = {each["name"]: each["params"] for each in client.describe_collection(name, timeout=_TIMEOUT_S)["fields"]}
        if fields.get(_field(space), {}).get("dim") != record.dimensions:
            raise Conflict(f"The collection {name} holds no vectors of embedding space {space}.", hint)
        counted = client.query(name, filter="", output_fields=["count(*)"], consistency_level="Strong", timeout=_TIMEOUT_S)
    if counted[0]["count(*)"] != record.count:
        raise Conflict(f"The collection {name} has {counted[0]['count(*)']} entries, the gallery {record.count}.", hint)
    return MilvusGallery(entries, record.dimensions, index, space, client)


def collection_of(space: str, sha256: str) -> str:
    """The name of this registry's collection of vectors of a space, by their hash."""
    return f"{_own()}{_suffix(space, sha256)}"


def own_collections() -> list[str]:
    """The names of this registry's collections.

    Raises:
        InvalidInput: There is no address.
        Unavailable: Milvus does not answer.
    """
    client = connect()
    with _asked():
        return sorted(name for name in client.list_collections(timeout=_TIMEOUT_S) if name.startswith(_own()))


def drop_collection(name: str) -> None:
    """Remove a collection, if it is there.

    Raises:
        InvalidInput: There is no address.
        Unavailable: Milvus does not answer.
    """
    client = connect()
    with _asked():
        client.drop_collection(name, timeout=_TIMEOUT_S)


def _own() -> str:
    """The beginning of the names of this registry's collections; other registries may use the same Milvus."""
    return f"glocal_{hashlib.sha256(Environment().mlflow_uri.encode()).hexdigest()[:8]}"


def _suffix(space: str, sha256: str) -> str:
    return f"_{space}_{sha256[:32]}"


def connect() -> Any:
    """A client of the Milvus server at `GLOCAL_MILVUS_URI`.

    Raises:
        InvalidInput: No address is set, or pymilvus is not installed.
        Unavailable: Nothing answers at the address.
    """
    environment = Environment()
    if not environment.milvus_uri:
        raise InvalidInput("There is no address of a Milvus server.", "Set GLOCAL_MILVUS_URI, or index.gallery=auto.")
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise InvalidInput("pymilvus is not installed.", "Install glocal[cluster].") from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs a stack trace for each error that it raises as well
    with _asked():
        return MilvusClient(uri=environment.milvus_uri, token=environment.milvus_credential, timeout=_TIMEOUT_S)


def _create(client: Any, name: str, field: str, dimensions: int) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(_ROW, DataType.INT64, is_primary=True)
    schema.add_field(field, DataType.FLOAT_VECTOR, dim=dimensions)
    graph = client.prepare_index_params()
    graph.add_index(field, index_type=_index_type(Environment().milvus_uri), metric_type="IP", params=_GRAPH)
    client.create_collection(name, schema=schema, index_params=graph, timeout=_TIMEOUT_S)


def _index_type(address: str) -> str:
    """A graph; in Milvus Lite none, whose own FAISS fails beside the replaced methods of pytorch-metric-learning."""
    return "HNSW" if "://" in address else "FLAT"


def _search(
    client: Any,
    name: str,
    space: str,
    queries: NDArray[np.float32],
    k: int,
    ef: int,
    among: NDArray[np.int64] | None = None,
) -> Nearest:
    """The k nearest, or fewer rows among which they may be; row -1 stands where Milvus finds fewer."""
    k = k if among is None else min(k, len(among))
    with _asked():
        found = client.search(
            name,
            data=list(queries),
            limit=k,
            filter="" if among is None else f"{_ROW} in {among.tolist()}",
            anns_field=_field(space),
            search_params={"metric_type": "IP", "params": {"ef": max(ef, k)}},
            consistency_level="Eventually",  # a collection does not change
            output_fields=[_ROW],
            timeout=_TIMEOUT_S,
        )
    scores, rows = np.full((len(queries), k), -2, np.float32), np.full((len(queries), k), -1, np.int64)
    for number, hits in enumerate(found):
        scores[number, : len(hits)] = [hit["distance"] for hit in hits]
        rows[number, : len(hits)] = [hit[_ROW] for hit in hits]
    return scores, rows


def _field(space: str) -> str:
    """The vector field of a space."""
    return f"space_{space}"


@contextmanager
def _asked() -> Iterator[None]:
    """Turn an error of Milvus into one line."""
    from grpc import RpcError
    from pymilvus import MilvusException

    try:
        yield
    except (MilvusException, RpcError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise Unavailable(
            f"Milvus at {Environment().milvus_uri} does not do what it is asked: {reason}",
            "Is the server running, and are GLOCAL_MILVUS_URI and GLOCAL_MILVUS_TOKEN right?",
        ) from error
