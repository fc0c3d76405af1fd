"""Ids in a resource's JSON -> who refers to whom, and ids as people say them. Of types it knows those with secrets."""

from collections.abc import Iterator, Mapping

_NODES = "/providers/hubgw.network/nodes/"


def words(resource_id: str) -> str:
    """Says an id as files do: the type's last segment, then the name with its parents'.

    >>> words("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/vpnGateways/gw1/vpnConnections/c1")
    'vpnConnections/gw1/c1'
    """
    path = _path(resource_id)
    return "/".join([path[-2], *path[1::2]]) if len(path) > 1 else resource_id


def name_of(resource_id: str) -> str:
    """The name with its parents', without the type: ``gw1/c1``."""
    return "/".join(_path(resource_id)[1::2])


def is_named(name: str, resource_id: str) -> bool:
    """Tells whether people may call a resource so: by its name, with or without its parents', as ``type/name``, by id.

    >>> gateway = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/vpnGateways/gw1"
    >>> is_named("C1", f"{gateway}/vpnConnections/c1")
    True
    """
    full = name_of(resource_id).lower()
    return name.lower() in {full, full.rpartition("/")[2], words(resource_id).lower(), resource_id.lower()}


def parent_of(resource_id: str) -> str:
    """The id of the parent, empty for what is nobody's child."""
    return resource_id.rsplit("/", 2)[0] if len(_path(resource_id)) > 2 else ""


def is_node(key: str) -> bool:
    """Tells whether a key is that of a machine, hubgw's own `node`."""
    return _NODES in key


def is_settings(resource_id: str) -> bool:
    """Tells whether an id is that of hubgw's own `settings`, which may hold a BGP password."""
    return words(resource_id).lower().startswith("settings/")


def is_vpn_connection(resource_id: str) -> bool:
    """Tells whether an id is that of a vpnConnection, which holds preshared keys."""
    return words(resource_id).lower().startswith("vpnconnections/")


def is_vpn_user(resource_id: str) -> bool:
    """Tells whether an id is that of hubgw's own `vpnUsers`, which holds a password."""
    return words(resource_id).lower().startswith("vpnusers/")


def is_vpn_server(resource_id: str) -> bool:
    """Tells whether an id is that of a vpnServerConfiguration, which may hold secrets of RADIUS servers."""
    return words(resource_id).lower().startswith("vpnserverconfigurations/")


def references_of(body: Mapping[str, object]) -> set[str]:
    """The keys that a resource refers to, each with those of its parents; itself and its own parts are none."""
    own = str(body.get("id", "")).lower()
    found: set[str] = set()
    for text in _ids(body):
        key = text.lower()
        while key and not (own and (key + "/").startswith(own + "/")) and key not in found:
            found.add(key)
            key = parent_of(key)
    return found


def _ids(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "id" and isinstance(item, str):
                yield item
            else:
                yield from _ids(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _ids(item)


def _path(resource_id: str) -> list[str]:
    marker = resource_id.lower().find("/providers/")
    return resource_id[marker:].split("/")[3:] if marker >= 0 else []
