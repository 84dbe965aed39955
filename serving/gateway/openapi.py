"""What the OpenAPI document says of an operation, and the page that shows it, with calls that run as they stand."""

import base64
import html
import io
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from PIL import Image
from pydantic import BaseModel

from serving.gateway.bodies import IMAGE, IMAGES, MAX_QUERIES
from serving.gateway.problems import MEDIA_TYPE
from serving.operations import OPERATIONS, Operation

_SCHEME = "key"
_BINARY = {"type": "string", "format": "binary"}
_PROBLEM = "#/components/schemas/Problem"


def described(operation: Operation[Any]) -> dict[str, Any]:
    """The part of the OpenAPI document on an operation: options, bodies and answers."""
    one = {"$ref": f"#/components/schemas/{operation.answer.__name__}"}
    item = {"oneOf": [one, {"type": "object", "properties": {"error": {"$ref": _PROBLEM}}, "required": ["error"]}]}
    batch = {"type": "object", "properties": {"answers": {"type": "array", "items": item}}, "required": ["answers"]}
    return {
        "summary": (operation.__doc__ or "").splitlines()[0],
        "security": [{_SCHEME: []}],
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": field.get("description", ""), "schema": _plain(field)}
            for name, field in operation.options.model_json_schema()["properties"].items()
        ],
        "requestBody": {"required": True, "content": _bodies(operation)},
        "responses": {
            "200": {
                "description": "The answer, or the answers to a batch",
                "content": {"application/json": {"schema": {"anyOf": [one, batch]}}},
            },
            "default": {"description": "A problem (RFC 9457)", "content": {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM}}}},
        },
    }


def add_document(app: FastAPI) -> None:
    """Let the application make its OpenAPI document with the schemas of all answers."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_ABOUT)
            components = made.setdefault("components", {})
            components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
            schemas = components.setdefault("schemas", {})
            for operation in OPERATIONS.values():
                schemas |= _schemas(operation.answer)
            schemas["Problem"] = _problem()
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's own way to change the document


def page(address: str) -> str:
    """A page on all operations, in one piece: what is asked, which options there are, and a call by curl."""
    sections = "".join(_section(operation, address) for operation in OPERATIONS.values())
    return _PAGE.format(sections=sections, about=html.escape(_ABOUT), limit=MAX_QUERIES)


def _bodies(operation: Operation[Any]) -> dict[str, Any]:
    images = {"type": "array", "items": _BINARY, "maxItems": MAX_QUERIES * operation.images}
    form = {"type": "object", "properties": {IMAGE: _BINARY if operation.images == 1 else images, IMAGES: images}}
    encoded: dict[str, Any] = {"type": "string", "format": "byte"}
    several = {"type": "array", "items": encoded, "minItems": operation.images, "maxItems": operation.images}
    query = {
        "type": "object",
        "properties": {IMAGE: encoded if operation.images == 1 else several, "options": {"type": "object"}},
        "required": [IMAGE],
    }
    batch = {"type": "object", "properties": {"queries": {"type": "array", "items": query}}, "required": ["queries"]}
    text = base64.b64encode(_example()).decode()
    example = {IMAGE: text if operation.images == 1 else [text] * operation.images}
    bodies: dict[str, Any] = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": {"anyOf": [query, batch]}, "example": example},
    }
    return {"application/octet-stream": {"schema": _BINARY}, **bodies} if operation.images == 1 else bodies


def _example() -> bytes:
    """A small PNG, so that the examples of the document run as they stand."""
    encoded = io.BytesIO()
    Image.linear_gradient("L").resize((32, 32)).save(encoded, "PNG")
    return encoded.getvalue()


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of an option, as it stands in an address: without null, which is said by leaving it out."""
    kinds = [each for each in field.get("anyOf", []) if each.get("type") != "null"]
    kept = {name: value for name, value in field.items() if name not in {"anyOf", "title", "description", "default"}}
    return {**kept, **(kinds[0] if kinds else {}), **({"default": field["default"]} if field.get("default") is not None else {})}


def _schemas(answer: type[BaseModel]) -> dict[str, Any]:
    schema = answer.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), answer.__name__: schema}


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "instance": text},
        "required": ["type", "title", "status"],
    }


def _section(operation: Operation[Any], address: str) -> str:
    options = "".join(
        f"<tr><td><code>{name}</code></td><td>{_shown(field.get('default'))}</td>"
        f"<td>{html.escape(field.get('description', ''))}</td></tr>"
        for name, field in operation.options.model_json_schema()["properties"].items()
    )
    table = f"<table><tr><th>option</th><th>default</th><th>meaning</th></tr>{options}</table>" if options else ""
    files = " ".join(f"-F image=@{name}.jpg" for name in ("photo", "other")[: operation.images])
    call = f'curl -H "Authorization: Bearer $KEY" {files} {html.escape(address)}/v1/{operation.name}'
    title, about = operation.name, html.escape((operation.__doc__ or "").splitlines()[0])
    return f"<section><h2>{title}</h2><p>{about}</p><pre>{call}</pre>{table}</section>"


def _shown(default: Any) -> str:
    """A default as it would stand in an address."""
    return "" if default is None else html.escape(str(default).lower() if isinstance(default, bool) else str(default))


_ABOUT = "Search, identify, verify, detect and embed: what a stored model says about an image."
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Glocal: the endpoint</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }}
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ padding: .75rem 1rem; overflow-x: auto; border-radius: .5rem }}
pre {{ background: color-mix(in srgb, currentColor 8%, transparent) }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }}
</style></head><body><h1>The endpoint</h1><p>{about}</p>
<p>Every call shows a key; <code>glocal key create NAME</code> makes one, and the owner of the home has one in
<code>serve/key</code>: <code>KEY=$(cat .glocal/serve/key)</code>. Of several models, ask
<code>/v1/models/NAME/...</code>. A batch is a form with several fields <code>images</code>, up to {limit} queries. The same
for programs: <a href="/v1/openapi.json">/v1/openapi.json</a>.</p>{sections}</body></html>
"""
