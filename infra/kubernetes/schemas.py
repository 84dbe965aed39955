"""JSON schemas of Kubernetes' resources, as kubeconform reads them, from its OpenAPI document and from custom resources.

python schemas.py SWAGGER.JSON FOLDER_OF_CRDS OUT
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

_KSERVE = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["predictor"],
            "properties": {"predictor": {"$ref": "#/definitions/io.k8s.api.core.v1.PodSpec"}},
        },
    },
}
"""What we use of KServe's InferenceService, whose predictor takes the fields of a pod: its own schema comes in no package."""
_ANY_NUMBER = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
_QUANTITY = {"oneOf": [{"type": "string"}, {"type": "number"}]}


def strict(schema: Any) -> Any:
    """A schema that takes no property that it does not name, but where the schema says that unknown ones are kept."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return _ANY_NUMBER
    made = {key: strict(value) for key, value in schema.items()}
    closed = isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields")
    if closed and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def needed(schema: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions that a schema refers to, itself or by another one."""
    found: dict[str, Any] = {}
    texts = [json.dumps(schema)]
    while texts:
        for name in set(re.findall(r'"#/definitions/([^"]+)"', texts.pop())) - found.keys():
            found[name] = definitions[name]
            texts.append(json.dumps(definitions[name]))
    return found


def named(kind: str, group: str, version: str) -> str:
    """Name of a resource's file: kind, first part of the group, version."""
    return "-".join(part for part in (kind.lower(), group.split(".", maxsplit=1)[0], version.lower()) if part) + ".json"


def write_schemas(swagger: Path, crds: Path, out: Path) -> int:
    """Write a file for each resource, whole in itself; returns their number."""
    out.mkdir(parents=True, exist_ok=True)

    def write(kind: str, group: str, version: str, schema: Any) -> None:
        whole = {**schema, "definitions": needed(schema, definitions)}
        (out / named(kind, group, version)).write_text(json.dumps(whole))

    definitions = strict(json.loads(swagger.read_text())["definitions"])
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = _QUANTITY
    write("InferenceService", "serving.kserve.io", "v1beta1", _KSERVE)
    for name, schema in definitions.items():
        for each in schema.get("x-kubernetes-group-version-kind", ()):
            write(each["kind"], each["group"], each["version"], {"allOf": [{"$ref": f"#/definitions/{name}"}]})
    for file in sorted(crds.glob("*.yaml")):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            write(spec["names"]["kind"], spec["group"], version["name"], schema)
    return len(list(out.iterdir()))


if __name__ == "__main__":
    sys.stdout.write(f"{write_schemas(*map(Path, sys.argv[1:4]))} schemas\n")
