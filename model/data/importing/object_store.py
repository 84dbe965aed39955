"""An `s3://` prefix as a source: downloaded into a folder, then listed like any other."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from model.data.importing.findings import Findings
from model.data.importing.names import is_passed_over, name_is_valid
from model.errors import InvalidInput, NotFound, Unavailable
from model.prefetching import prefetch
from model.progress import Progress

SCHEMES = ("s3://", "s3:/")
"""Starts of an address; `Path` removes the second slash."""
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
_FORM = "Give s3://bucket/prefix."


def split_address(url: str) -> tuple[str, str]:
    """The bucket and the prefix (empty, or with a slash at its end) of an `s3://` address.

    Raises:
        InvalidInput: The address names no bucket, or one that cannot exist.
    """
    bucket, _, prefix = url.removeprefix("s3:").lstrip("/").partition("/")
    if not bucket or url.startswith("s3:///"):
        raise InvalidInput(f"{url} names no bucket.", _FORM)
    if not _BUCKET.fullmatch(bucket):
        raise InvalidInput(f"{bucket!r} cannot be the name of a bucket: it has letters, digits, dots and hyphens only.", _FORM)
    return bucket, prefix.strip("/") + "/" if prefix.strip("/") else ""


def download(url: str, folder: Path, findings: Findings, progress: Progress) -> None:
    """Download every object below `s3://bucket/prefix` into `folder`. Credentials and endpoint come from the environment.

    Raises:
        InvalidInput: The address names no bucket, or may not be read.
        NotFound: There is no such bucket, or nothing below the prefix.
        Unavailable: The store does not answer.
    """
    import boto3

    bucket, prefix = split_address(url)
    url = f"s3://{bucket}/{prefix}"
    client = boto3.client("s3")
    done = 0
    with _explained(url):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        wanted = (target for page in pages for target in _wanted(page.get("Contents", []), prefix, folder, findings))
        calls = (partial(client.download_file, bucket, key, str(path)) for key, path in wanted)
        for done, _ in enumerate(prefetch(calls, 8), start=1):
            progress(done, 0, "download")
    if not done and not findings.defects:
        raise NotFound(f"{url} holds no objects.", "Check the prefix.")


def check_reachable(url: str, *, timeout_s: float) -> None:
    """Ask the store for one name in the bucket of an address.

    Raises:
        InvalidInput: The address names no bucket, or may not be read.
        NotFound: There is no such bucket.
        Unavailable: The store does not answer in time.
    """
    import boto3
    from botocore.config import Config

    bucket, prefix = split_address(url)
    settings = Config(connect_timeout=timeout_s, read_timeout=timeout_s, retries={"max_attempts": 0})
    with _explained(f"s3://{bucket}/{prefix}"):
        boto3.client("s3", config=settings).list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Translate the errors of the store into Glocal's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchBucket", "NoSuchKey"}:
            raise NotFound(f"There is no {url}.", "Check the bucket's name.") from error
        raise InvalidInput(f"{url} cannot be read: {error}.", "Check the credentials in the environment.") from error
    except BotoCoreError as error:
        raise Unavailable(f"{url} cannot be read: {error}.", "Check the credentials and AWS_ENDPOINT_URL.") from error


def _wanted(objects: list[dict[str, Any]], prefix: str, folder: Path, findings: Findings) -> Iterator[tuple[str, Path]]:
    """Key and target file of each object; adds a defect for each that cannot be stored."""
    for item in objects:
        name = item["Key"].removeprefix(prefix)
        parts = name.split("/")
        if name.endswith("/") or not name:
            continue
        if any(part in {"", ".", ".."} for part in parts):
            findings.defect("invalid name", name, "it leads out of the prefix")
        elif any(is_passed_over(part, name, findings) for part in parts):
            continue
        elif all(name_is_valid(part, name, findings) for part in parts):
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            yield item["Key"], target
