#!/usr/bin/env python3
"""JSON schemas for kubeconform: schemas.py OUT SWAGGER.json CRD.yaml...

Writes OUT/KIND-GROUP-VERSION.json (core: KIND-VERSION.json) from Kubernetes' OpenAPI document and from CRDs. Strict: what
the API server refuses as an unknown field, they refuse.
"""
import json
import pathlib
import sys

import yaml


def main(out, swagger, crds):
    out.mkdir(parents=True, exist_ok=True)
    count = of_kubernetes(out, json.loads(swagger.read_text())["definitions"])
    count += sum(of_crds(out, yaml.safe_load_all(crd.read_text())) for crd in crds)
    print(count, "schemas")


def of_kubernetes(out, definitions):
    for key, schema in definitions.items():
        strict(schema)
        if schema.get("format") == "int-or-string" or key.endswith(".Quantity"):
            schema["type"] = ["string", "number"]
        schema.pop("format", None)
    count = 0
    for key, schema in definitions.items():
        kinds = schema.get("x-kubernetes-group-version-kind") or []
        # Those with several are options of calls, not objects that somebody writes.
        if len(kinds) != 1 or not {"apiVersion", "kind"} <= set(schema.get("properties", {})):
            continue
        needed = with_referred(key, definitions)
        write(out, kinds[0], {"$ref": "#/definitions/" + key, "definitions": needed})
        count += 1
    return count


def of_crds(out, documents):
    count = 0
    for crd in documents:
        if not crd or crd.get("kind") != "CustomResourceDefinition":
            continue
        for version in crd["spec"]["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            strict(schema)
            schema["properties"]["metadata"] = {"type": "object"}
            kind = {"kind": crd["spec"]["names"]["kind"], "group": crd["spec"]["group"], "version": version["name"]}
            write(out, kind, schema)
            count += 1
    return count


def write(out, kind, schema):
    parts = (kind["kind"].lower(), kind["group"].split(".")[0], kind["version"])
    (out / ("-".join(part for part in parts if part) + ".json")).write_text(json.dumps(schema))


def with_referred(key, definitions):
    needed, todo = {}, [key]
    while todo:
        key = todo.pop()
        if key not in needed:
            needed[key] = localized(definitions[key], todo)
    return needed


def localized(value, found):
    """The same, with references into this document; their names are added to `found`."""
    if isinstance(value, list):
        return [localized(item, found) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {key: localized(item, found) for key, item in value.items()}
    if isinstance(value.get("$ref"), str):
        name = value["$ref"].rsplit("/", 1)[-1]
        found.append(name)
        copy["$ref"] = "#/definitions/" + name
    return copy


def strict(schema):
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("properties") and not open_ended:
        schema["additionalProperties"] = False
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("anyOf", None)
        schema["type"] = ["string", "integer"]
    if schema.pop("nullable", False) and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    below = list((schema.get("properties") or {}).values())
    below += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    for part in below:
        strict(part)


# A bare `=`, as KEDA's CRDs have it, is text.
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))

if __name__ == "__main__":
    arguments = [pathlib.Path(argument) for argument in sys.argv[1:]]
    main(arguments[0], arguments[1], arguments[2:])
