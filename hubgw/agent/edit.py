"""The stored resources and what was asked for -> what to put and what to delete, and that in words.

Pure: resources are Azure's JSON with full ids and with their secrets, as the store has them; the words never hold a
secret. It must not judge whether the outcome makes sense: that is validation's, on `desired`.
"""

import json
import secrets
import string
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hubgw.agent.differences import differences
from hubgw.agent.references import (
    is_node,
    is_settings,
    is_vpn_connection,
    is_vpn_server,
    is_vpn_user,
    parent_of,
    references_of,
    words,
)
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.statuses import Json

Resources = Mapping[str, Json]
"""Resources by key, the full id in lower case."""

KEY_LENGTH: Final = 32
_ALPHABET: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Edit:
    """What a commit takes (`puts`, `deletes`), the resources that are there after it (`desired`), and that in words."""

    puts: Resources = field(repr=False)  # with their secrets, as in `desired`
    deletes: tuple[str, ...]
    desired: Resources = field(repr=False)
    changes: tuple[str, ...]
    pruned: tuple[str, ...] = ()


def random_key() -> str:
    """A preshared key of 32 letters and digits: 190 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))


def apply_(stored: Resources, loaded: Resources, *, prune: bool, make_key: Callable[[], str] = random_key) -> Edit:
    """Creates and replaces what was loaded; with `prune` deletes what was not.

    A key left out keeps the stored one, and is made where there is none. Pruning leaves nodes alone where no node was
    loaded: they describe the machine, and come from `hubgw init` rather than from the operator's files.
    """
    doomed: set[str] = set()
    if prune:
        machine = any(is_node(key) for key in loaded)
        doomed = {key for key in stored.keys() - loaded.keys() if machine or not is_node(key)}
    # What is compared has been through JSON on both sides: a tuple is a list.
    plain: Resources = json.loads(json.dumps(dict(loaded)))
    wanted = {key: _with_keys(stored.get(key), body, make_key) for key, body in plain.items()}
    return _edit(stored, wanted, doomed, pruned=tuple(sorted(_say(stored, key) for key in doomed)))


def delete(
    stored: Resources,
    names: Sequence[str],
    keys: Collection[str] = (),
    *,
    everything: bool = False,
    cascade: bool = False,
) -> Edit:
    """Deletes what `names` name (ids, or `type/name`), what is there of `keys`, or everything.

    With `cascade` what refers to it goes too; a node stays, without the entries that refer to it.

    Raises:
        Refused: NOT_FOUND with the names that are not there or not clear; IN_USE with who refers to what.
    """
    if everything:
        return _edit(stored, {}, set(stored))
    doomed = {*_find_all(stored, names), *(key for key in keys if key in stored)}
    referrers = _referrers(stored)
    if not cascade:
        in_use = [
            f"{_say(stored, key)}: is referred to by {_say(stored, by)}; delete that first, or use --cascade"
            for key in sorted(doomed)
            for by in sorted(referrers.get(key, set()) - doomed)
        ]
        if in_use:
            raise Refused(Refusal.IN_USE, in_use)
    todo = list(doomed)
    nodes: set[str] = set()
    while todo:
        for by in referrers.get(todo.pop(), set()) - doomed:
            if is_node(by):
                nodes.add(by)
            else:
                doomed.add(by)
                todo.append(by)
    return _edit(stored, {node: _without(stored[node], doomed) for node in nodes - doomed}, doomed)


def find(stored: Resources, name: str) -> str:
    """Returns the key of the resource that an id, `type/name` or, for a child, `type/parent/name` names.

    Raises:
        Refused: NOT_FOUND; there is none, or several.
    """
    (key,) = _find_all(stored, [name])
    return key


def shared_keys(connection: Json) -> dict[str, str]:
    """Returns the preshared key of a stored vpnConnection under "", and those of link connections by their name."""
    keys = {"": _properties(connection).get("sharedKey")}
    keys |= {str(link["name"]): _properties(link).get("sharedKey") for link in _links(connection)}
    return {name: str(key) for name, key in keys.items() if key}


def _find_all(stored: Resources, names: Sequence[str]) -> list[str]:
    by_words: dict[str, list[str]] = {}
    for key in stored:
        for text in _names_of(key):
            by_words.setdefault(text, []).append(key)
    found = [by_words.get(name.lower().removeprefix("microsoft.network/"), []) for name in names]
    problems = [f"{name}: {_unclear(keys)}" for name, keys in zip(names, found, strict=True) if len(keys) != 1]
    if problems:
        raise Refused(Refusal.NOT_FOUND, problems)
    return [key for (key,) in found]


def _say(stored: Resources, key: str) -> str:
    return words(str(stored[key]["id"]))


def _names_of(key: str) -> set[str]:
    path = key.split("/")
    return {key, words(key), "/".join(path[7:]), "/".join(path[-2:])}


def _unclear(keys: Sequence[str]) -> str:
    if not keys:
        return "there is no such resource; name it by its id, or as type/name like vpnSites/branch1"
    return f"{len(keys)} resources have this name: {', '.join(sorted(keys))}; name one of them by its id"


def _edit(stored: Resources, wanted: Resources, doomed: Collection[str], pruned: tuple[str, ...] = ()) -> Edit:
    puts = {key: body for key, body in sorted(wanted.items()) if stored.get(key) != body}
    desired = {key: body for key, body in stored.items() if key not in doomed} | puts
    changes: list[str] = []
    for key, body in puts.items():
        name, old = words(str(body["id"])), stored.get(key)
        changes += [f"{name}: created"] if old is None else [f"{name}: {text}" for text in differences(old, body)]
    changes += sorted(f"{_say(stored, key)}: deleted" for key in doomed)
    return Edit(puts, tuple(sorted(doomed)), dict(sorted(desired.items())), tuple(changes), pruned)


def _with_keys(old: Json | None, new: Json, make_key: Callable[[], str]) -> Json:
    if is_settings(str(new["id"])):
        # A password is for whose session it was made.
        # A password is for whose session it was made, a key for its certificate.
        same = _properties(old) if old and references_of(old) == references_of(new) else {}
        names = ("bgpPassword", *(("privateKey",) if _properties(new).get("certificate") else ()))
        for name in names:
            new = _with(new, name, str(same[name]) if same.get(name) else None)
        return new
    if is_vpn_user(str(new["id"])):
        kept = _properties(old).get("password") if old else None
        return _with(new, "password", str(kept) if kept else None)
    if is_vpn_server(str(new["id"])):
        return _with_radius_secrets(old, new)
    if not is_vpn_connection(str(new["id"])):
        return new
    before = shared_keys(old) if old else {}
    links = [_with(link, "sharedKey", before.get(str(link["name"]))) for link in _links(new)]
    connection = _with(new, "sharedKey", before.get(""))
    properties = _properties(connection)
    if not properties.get("sharedKey") and not (links and all(_properties(link).get("sharedKey") for link in links)):
        connection = _with(connection, "sharedKey", make_key())
        properties = _properties(connection)
    return {**connection, "properties": {**properties, "vpnLinkConnections": links}} if links else connection


def _with_radius_secrets(old: Json | None, new: Json) -> Json:
    """A secret is of the server's that has the address."""
    before = _properties(old) if old else {}
    kept = {one.get("radiusServerAddress"): one.get("radiusServerSecret") for one in (before, *_servers(before))}

    def with_secret(one: Mapping[str, object]) -> Mapping[str, object]:
        address = one.get("radiusServerAddress")
        secret = kept.get(address) if address and not one.get("radiusServerSecret") else None
        return {**one, "radiusServerSecret": secret} if secret else one

    properties = with_secret(_properties(new))
    servers = [with_secret(one) for one in _servers(properties)]
    return {**new, "properties": {**properties, **({"radiusServers": servers} if servers else {})}}


def _servers(properties: Mapping[str, object]) -> list[Mapping[str, object]]:
    servers = properties.get("radiusServers")
    return [one for one in servers if isinstance(one, Mapping)] if isinstance(servers, list | tuple) else []


def _with(part: Json, name: str, secret: str | None) -> Json:
    """Gives a part a secret that it leaves out."""
    properties = _properties(part)
    if properties.get(name) or not secret:
        return part
    return {**part, "properties": {**properties, name: secret}}


def _properties(part: Json) -> Mapping[str, object]:
    properties = part.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _links(connection: Json) -> list[Json]:
    links = _properties(connection).get("vpnLinkConnections")
    return [link for link in links if isinstance(link, Mapping)] if isinstance(links, list | tuple) else []


def _referrers(stored: Resources) -> dict[str, set[str]]:
    referrers: dict[str, set[str]] = {}
    for key, body in stored.items():
        targets = references_of(body)
        for target in targets | ({parent_of(key)} if parent_of(key) else set()):
            referrers.setdefault(target, set()).add(key)
    return referrers


def _without(node: Json, doomed: Collection[str]) -> Json:
    properties = {
        name: [item for item in value if not references_of({"of": item}) & set(doomed)]
        if isinstance(value, list | tuple)
        else value
        for name, value in _properties(node).items()
    }
    return {**node, "properties": properties}
