"""One document (a mapping, as YAML or JSON has it) -> one typed resource, or every finding about it. Reads no file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hubgw.resources.base import Model, Resource
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.fields import LOCATED, Field, Group, Only, Rule, fields_of
from hubgw.resources.hub import VirtualHub
from hubgw.resources.ids import DEFAULT_SCOPE, TYPES, ResourceId, canonical_type
from hubgw.resources.nat import NatRule
from hubgw.resources.node import Node
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import Finding, Path, kind_of, nearest, shown
from hubgw.resources.settings import Settings
from hubgw.resources.site import VpnSite
from hubgw.resources.vnet import HubVirtualNetworkConnection, VirtualNetwork
from hubgw.resources.vpn_server import VpnServerConfiguration
from hubgw.resources.vpn_user import VpnUser
from hubgw.resources.wan import VirtualWan

CLASSES: Final[Mapping[str, type[Resource]]] = {
    kind.TYPE: kind
    for kind in (
        VirtualWan,
        VirtualHub,
        HubVirtualNetworkConnection,
        VpnGateway,
        VpnConnection,
        NatRule,
        P2sVpnGateway,
        VpnServerConfiguration,
        VirtualNetwork,
        VpnSite,
        Node,
        Settings,
        VpnUser,
    )
}

_LOCATION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _-]{0,62}[A-Za-z0-9])?", re.ASCII)
_TAG_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a document is. `resource` is there where there is no finding, `target` where the id could be read."""

    target: ResourceId | None
    resource: Resource | None
    findings: tuple[Finding, ...]


def parse(document: Mapping[str, Any]) -> Parsed:
    """Turns a document into its resource, or into all that is wrong with it."""
    findings: list[Finding] = []
    target = _target(document, findings)
    type_ = target.type if target else _type_alone(document)
    if type_ is None:
        return Parsed(target, None, tuple(findings))
    kind = CLASSES[type_]
    kept = screen(document, fields_of(type_), (), findings)
    location = _location(kept, type_, findings)
    tags = _tags(kept.get("tags", {}), findings)
    properties = _properties(kind.PROPERTIES, kept.get("properties", {}), target or DEFAULT_SCOPE, findings)
    if findings or target is None or properties is None:
        return Parsed(target, None, tuple(findings))
    return Parsed(target, kind(str(target), properties, location, tags), ())


def _type_alone(document: Mapping[str, Any]) -> str | None:
    type_ = document.get("type")
    return canonical_type(type_) if isinstance(type_, str) else None


def _target(document: Mapping[str, Any], findings: list[Finding]) -> ResourceId | None:
    """The document's id: its own, or made of type and name; where both are given they must agree."""
    id_, type_, name = (document.get(field) for field in ("id", "type", "name"))
    for field, value in (("id", id_), ("type", type_), ("name", name)):
        if value is not None and not isinstance(value, str):
            findings.append(Finding((field,), "expected text", shown(value), "put it in quotes"))
            return None
    canonical = canonical_type(type_) if type_ is not None else None
    if type_ is not None and canonical is None:
        hint = nearest(type_.rpartition("/")[2], (*TYPES, *(known.rpartition("/")[2] for known in TYPES)))
        findings.append(Finding(("type",), "unknown type", shown(type_), hint or f"known are {', '.join(TYPES)}"))
        return None
    if id_ is not None:
        return _target_of_id(id_, canonical, name, findings)
    if canonical is None:
        findings.append(Finding(("type",), "is missing", hint="write type and name, or id"))
        return None
    if name is None:
        findings.append(Finding(("name",), "is missing"))
        return None
    try:
        return DEFAULT_SCOPE.beside(canonical, name)
    except ValueError as error:
        findings.append(Finding(("name",), str(error), shown(name)))
        return None


def _target_of_id(id_: str, type_: str | None, name: str | None, findings: list[Finding]) -> ResourceId | None:
    try:
        target = ResourceId.parse(id_)
    except ValueError as error:
        findings.append(Finding(("id",), str(error), shown(id_)))
        return None
    if target.type not in TYPES:
        findings.append(Finding(("id",), "is the id of a part of a resource, not of one", shown(id_)))
        return None
    if type_ is not None and type_ != target.type:
        findings.append(Finding(("type",), f"is not the type of the id, {target.type}", shown(type_)))
        return None
    if name is not None and name.lower() not in {target.name.lower(), "/".join(target.names).lower()}:
        findings.append(Finding(("name",), f"is not the name in the id, {target.name}", shown(name)))
        return None
    return target


def screen(value: Any, fields: Mapping[str, Rule], path: Path, findings: list[Finding]) -> Any:
    """Returns the mapping without null, read-only and refused fields; adds what is wrong to `findings`.

    A value that is no mapping is returned as it is: its type is the model's to refuse.
    """
    if not isinstance(value, Mapping):
        return value
    kept: dict[str, Any] = {}
    for name, inner in value.items():
        here = (*path, name)
        match fields.get(name):
            case None:
                findings.append(_unknown(path, name, fields))
            case _ if inner is None:
                continue
            case Field.READ_ONLY:
                continue
            case Field.REFUSED:
                if inner not in ([], {}):
                    findings.append(Finding(here, "not implemented yet", shown(inner, here), "leave it out"))
            case Only() as only if only.refuses(inner):
                findings.append(Finding(here, "not implemented yet", shown(inner), f"only {shown(only.allowed)} is"))
            case Group(fields=inside) if isinstance(inner, list):
                kept[name] = [screen(item, inside, (*here, index), findings) for index, item in enumerate(inner)]
            case Group(fields=inside):
                kept[name] = screen(inner, inside, here, findings)
            case _:
                kept[name] = inner
    return kept


def _unknown(path: Path, name: str, fields: Mapping[str, Rule]) -> Finding:
    writable = [field for field, rule in fields.items() if rule is not Field.READ_ONLY]
    hint = nearest(name, writable) or f"known are {', '.join(sorted(writable))}"
    if name == "<<":
        hint = "merge keys are not supported, repeat the fields"
    return Finding((*path, name), "unknown key", hint=hint)


def _location(kept: Mapping[str, Any], type_: str, findings: list[Finding]) -> str:
    location = kept.get("location", "")
    if not isinstance(location, str) or (location and not _LOCATION.fullmatch(location)):
        findings.append(Finding(("location",), "expected the name of a region", shown(location)))
        return ""
    if not location and type_ in LOCATED:
        findings.append(Finding(("location",), "is missing", hint="write the region, for example westeurope"))
    return str(location)


def _tags(tags: Any, findings: list[Finding]) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        findings.append(Finding(("tags",), "expected a mapping of text to text", kind_of(tags)))
        return {}
    for name, value in tags.items():
        path: Path = ("tags", name)
        if not isinstance(value, str):
            findings.append(Finding(path, "expected text", shown(value, path), "put it in quotes"))
        elif not (name + value).isprintable() or max(len(name), len(value)) > _TAG_LENGTH:
            findings.append(Finding(path, f"expected at most {_TAG_LENGTH} printable characters", shown(value, path)))
    return dict(tags)


def _properties(model: type[Model], value: Any, scope: ResourceId, findings: list[Finding]) -> Model | None:
    try:
        return model.model_validate(value, context=scope)
    except ValidationError as error:
        findings.extend(_finding(detail) for detail in error.errors(include_url=False))
        return None


def _finding(detail: ErrorDetails) -> Finding:
    path: Path = ("properties", *detail["loc"])
    value = detail["input"]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "hubgw":
            return Finding(path, context["message"], shown(value, path), context["hint"])
        case "missing":
            return Finding(path, "is missing")
        case "bool_type":
            return Finding(path, "expected true or false", shown(value, path), _bool_hint(value))
        case "int_type":
            hint = "write it without quotes" if isinstance(value, str) and value.isdigit() else ""
            return Finding(path, "expected a whole number", shown(value, path), hint)
        case "string_type":
            hint = "put it in quotes" if isinstance(value, bool | int | float) else ""
            return Finding(path, "expected text", shown(value, path), hint)
        case "literal_error":
            hint = nearest(str(value), re.findall(r"'([^']*)'", context["expected"]))
            return Finding(path, f"expected {context['expected'].replace(chr(39), '')}", shown(value, path), hint)
        case "model_type" | "model_attributes_type":
            return Finding(path, "expected a mapping of fields", kind_of(value))
        case "tuple_type":
            return Finding(path, "expected a list", kind_of(value), "write [...], or one item a line after -")
        case "greater_than_equal" | "less_than_equal":
            bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
            return Finding(path, f"expected {bound}", shown(value, path))
        case "too_long":
            return Finding(path, f"expected at most {context['max_length']} of them")
        case _:
            return Finding(path, detail["msg"][:1].lower() + detail["msg"][1:], shown(value, path))


def _bool_hint(value: object) -> str:
    words = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
    word = words.get(value.lower()) if isinstance(value, str) else None
    return f"write {word} without quotes" if word else ""
