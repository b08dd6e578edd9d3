#!/usr/bin/env python3
"""Makes the compact facts of this folder from the measured ones.

    compact.py DIR    DIR holds types.json, schemas.json, defaults.json, discovery.json,
                      table-columns.json, bootstrap-objects.json and version.json

types.txt, one line each, fields separated by tabs:
    K  group  version  kind  type                       a kind
    S  type  flags                                      a struct; `m` where owned whole by apply
    F  json  type  number  flags…                       a field of the struct above
flags of a field: e omitEmpty, z omitZero, n an empty list is not nil, r required, m atomic map or struct, M a struct that is not though its type is, p=patch strategies,
 w a list that is a message of its own in protobuf, k=patch merge key, l=list type (set, map:keys), v=allowed values separated by |, f=format, g=Go's name of the type.
"""
import json, re, sys
from pathlib import Path

source, here = Path(sys.argv[1]), Path(__file__).parent
read = lambda name: json.loads((source / name).read_text())
facts, schemas = read("types.json"), read("schemas.json")
named = dict(line.split() for line in (here / "named-types.txt").read_text().splitlines() if line and line[0] != "#")

def schema_name(go):
    package, name = go.rsplit(".", 1)
    if package.startswith("api/"):
        return "io.k8s." + package.replace("/", ".") + "." + name
    return "io.k8s." + package.replace("/", ".") + "." + name

def inlined(go):
    """The schema properties of a type, embedded ones included (schemas are flat already)."""
    return schemas.get(schema_name(go), {})

def reference(schema):
    for part in [schema] + schema.get("allOf", []):
        if "$ref" in part:
            return part["$ref"].rsplit("/", 1)[1]
    return None

def atomic(schema):
    # What a field says of itself goes before its type.
    if "x-kubernetes-map-type" in schema:
        return schema["x-kubernetes-map-type"] == "atomic"
    target = reference(schema)
    return schema.get("x-kubernetes-map-type") == "atomic" or (
        target is not None and schemas.get(target, {}).get("x-kubernetes-map-type") == "atomic")

# Lists that are left out where they are empty, and that a default or a check compares with nil.
NIL_MATTERS = {
    "api/autoscaling/v2.HPAScalingRules.policies",
    "api/core/v1.PodSecurityContext.supplementalGroups",
    "api/core/v1.ResourceRequirements.claims",
    "api/resource/v1.ResourceSliceSpec.devices",
    "api/resource/v1.ResourceSliceSpec.sharedCounters",
}
# Lists whose Go type has a name and a message of its own; the measured facts have them as plain lists.
WRAPPED = {"apimachinery/pkg/apis/meta/v1.APIResource.verbs"}

lines = []
for name, go in sorted(facts["kinds"].items()):
    group, version, kind = name.split("/")
    lines.append(["K", group, version, kind, go])

embedders = {}
for go, fields in facts["types"].items():
    for field in fields or []:
        if field["json"] == "":
            embedders.setdefault(field["type"].lstrip("*"), go)

def properties(go):
    """Where the schema of an embedded struct's field stands: in itself or in who embeds it."""
    found = dict(inlined(go).get("properties", {}))
    required = set(inlined(go).get("required", []))
    if not found and go in embedders:
        return properties(embedders[go])
    return found, required

for go, fields in sorted(facts["types"].items()):
    found, required = properties(go)
    lines.append(["S", go] + (["m"] if inlined(go).get("x-kubernetes-map-type") == "atomic" else []))
    for field in fields or []:
        schema = found.get(field["json"], {})
        number = field.get("proto", ",0").split(",")[1]
        flags = []
        if field.get("omitEmpty"): flags.append("e")
        if field.get("omitZero"): flags.append("z")
        if go + "." + field["json"] in NIL_MATTERS: flags.append("n")
        if field["json"] in required: flags.append("r")
        if atomic(schema): flags.append("m")
        if schema.get("x-kubernetes-map-type") == "granular" and reference(schema): flags.append("M")
        if go + "." + field["json"] in WRAPPED: flags.append("w")
        if "patchStrategy" in field: flags.append("p=" + field["patchStrategy"])
        if "patchMergeKey" in field: flags.append("k=" + field["patchMergeKey"])
        if "x-kubernetes-list-type" in schema:
            kind = schema["x-kubernetes-list-type"]
            if kind == "map": kind += ":" + ",".join(schema["x-kubernetes-list-map-keys"])
            if kind != "atomic": flags.append("l=" + kind)
        values = schema.get("enum") or schema.get("items", {}).get("enum")
        if values: flags.append("v=" + "|".join(sorted(values)))
        if "format" in schema: flags.append("f=" + schema["format"])
        name = named.get(go + "." + field["json"])
        if name: flags.append("g=" + name)
        lines.append(["F", field["json"], field["type"], number] + flags)

(here / "types.txt").write_text("\n".join("\t".join(line) for line in lines) + "\n")
for name in ["discovery", "table-columns", "bootstrap-objects", "defaults"]:
    (here / (name + ".json")).write_text(json.dumps(read(name + ".json"), separators=(",", ":")) + "\n")
# Where the lists of resources of a kind lie, whose amounts its defaults round up.
def amounts(go, path, above):
    for field in facts["types"].get(go) or []:
        place = path + ("." + field["json"] if field["json"] else "")
        if named.get(go + "." + field["json"]) == "v1.ResourceList":
            yield place
            continue
        item = field["type"].lstrip("*")
        if item.startswith("[]"):
            item, place = item[2:].lstrip("*"), place + "[]"
        if item in facts["types"] and item not in above:
            yield from amounts(item, place, above + [item])

rounded = {}
for fact in read("discovery.json"):
    name = "/".join(filter(None, [fact["group"], fact["version"]])) if fact["group"] else "/" + fact["version"]
    paths = list(amounts(facts["kinds"]["/".join([fact["group"], fact["version"], fact["kind"]])], "", []))
    # RuntimeClasses have no defaults at all.
    if paths and "create" in fact["verbs"] and fact["kind"] != "RuntimeClass":
        rounded[name + "/" + fact["kind"]] = sorted(set(paths))
(here / "amounts.json").write_text(json.dumps(rounded, separators=(",", ":")) + "\n")
(here / "version.json").write_text(json.dumps(read("version.json"), indent=1) + "\n")
