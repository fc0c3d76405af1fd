"""Operations of the plan -> what is asked of charon. No I/O."""

from collections.abc import Set
from typing import Final

from hubgw.drivers.strongswan import codec
from hubgw.drivers.strongswan.client import Request
from hubgw.drivers.strongswan.users import encode_pool, encode_server, encode_user, other_proof
from hubgw.plan.ipsec import IkeCertificate, IkeConnection, IkeKey, IkePool, IkeRadius, IkeSecret, IkeServer, IkeUser
from hubgw.plan.types import Create, Delete, Op, Update

LATER: Final = "-1"
"""A timeout of VICI: do not wait."""

RELOAD_SETTINGS: Final[Request] = ("reload-settings", {})
"""charon reads its configuration again, and makes its loggers anew; its sessions stay."""

SAY_SOMETHING: Final[Request] = ("install", {"child": "hubgw-log"})
"""There is no such child; but charon logs what it was asked for before it answers, and waits for no SA."""


def requests_of(op: Op, certificates: codec.Certificates, methods: Set[str]) -> list[Request]:
    """Returns what an operation asks of charon; of what changes its ends, or goes, the SAs go too."""
    match op:
        case Create(IkeKey() as new):
            return [("load-key", codec.encode_key(new))]
        case Create(IkeCertificate() as new):
            # What a list is about is remembered as it was before.
            flush = [("flush-certs", {"type": "X509_CRL"})] if new.revokes else []
            return [("load-cert", codec.encode_certificate(new)), *flush]
        case Delete(IkeKey(id_)):
            return [("unload-key", {"id": id_})]
        case Delete(IkeCertificate()):
            return []
        case Create(IkeSecret() as new) | Update(_, IkeSecret() as new):
            return [("load-shared", codec.encode_secret(new))]
        case Create(IkeConnection() as new):
            return [("load-conn", codec.encode_connection(new, certificates, methods))]
        case Update(IkeConnection() as old, IkeConnection() as new):
            ends = [end(new.name)] if codec.other_ends(old, new) else _end_children(old, new)
            return [("load-conn", codec.encode_connection(new, certificates, methods)), *ends]
        case Create(IkePool() as pool) | Update(_, IkePool() as pool):
            return [("load-pool", encode_pool(pool))]
        case Delete(IkePool(name)):
            return [("unload-pool", {"name": name})]
        case Create(IkeRadius()) | Update(_, IkeRadius()) | Delete(IkeRadius()):
            return [RELOAD_SETTINGS]
        case Create(IkeServer() as server):
            return [("load-conn", encode_server(server, certificates, methods))]
        case Update(IkeServer() as old_server, IkeServer() as server):
            ends = [end(server.name)] if other_proof(old_server, server) else []
            return [("load-conn", encode_server(server, certificates, methods)), *ends]
        case Create(IkeUser() as user):
            return [("load-shared", encode_user(user))]
        case Delete(IkeConnection(name) | IkeServer(name)):
            return [unload(name), end(name)]
        case Delete(IkeSecret(id_) | IkeUser(id_)):
            return [("unload-shared", {"id": id_})]
        case _:
            raise TypeError(f"strongswan: {op} is not charon's to carry out")


def _end_children(old: IkeConnection, new: IkeConnection) -> list[Request]:
    order = {"ike": new.name, "force": "yes", "timeout": LATER}
    return [("terminate", order | {"child": name}) for name in codec.children_gone(old, new)]


def unload(name: str) -> Request:
    """Returns what has charon forget a connection; its SAs stay."""
    return "unload-conn", {"name": name}


def end(name: str) -> Request:
    """Returns what has charon begin to end the SAs of a connection."""
    return "terminate", {"ike": name, "force": "yes", "timeout": LATER}
