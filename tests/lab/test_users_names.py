"""What a client calls itself is anything: who is no user is refused, and what is told of anybody is one line."""

import re
import time

from tests.certificates import make
from tests.lab.test_users_eap import passwords
from tests.lab.topology import Lab
from tests.lab.users import Client, eap_secret, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

NAMES = {
    "newline": "al\nice user.login user=bob",
    "quote": "al'\"ice",
    "semicolon": "al;ice",
    "slash": "../../al/ice",
    "NUL": "al\0ice",
    "long": "a" * 300,
    "Unicode": "\u0430lice\u202e",
}
_LONGEST = 64  # characters of a common name (X.520)


def _one_line_each(lab: Lab) -> None:
    """Fails where what is shown or logged has a line or a letter more than hubgw's own words have."""
    shown = [
        lab.hub.run(*words).stdout for words in (("show", "users"), ("show", "sessions"), ("events",), ("metrics",))
    ]
    assert all(line.isprintable() for text in shown for line in text.split("\n"))
    assert all(re.match(r"\d{4}-\d\d-\d\d |$", line) and line.isprintable() for line in lab.hub.agent_log.split("\n"))


def test_a_name_that_somebody_makes_up(lab: Lab, clients: list[Client]) -> None:
    root, since = root_of_users(), time.time()
    spare = user(root, "spare")

    def refusals() -> list[str]:
        return [
            text for one in clients for text in lab.hub.events("user.refused", f"client={one.address} ", since=since)
        ]

    with passwords(lab, root, alice="example-password-1") as authority:
        for number, name in enumerate(NAMES.values()):
            one, octets = clients[number % len(clients)], f"fqdn:#{name.encode().hex()}"
            conf = one.conf(authority, spare, identity=f'"{octets}"')
            conf = conf.replace("auth = pubkey", f'auth = eap-mschapv2\n      eap_id = "{octets}"', 1)
            one.charon.load(conf + eap_secret(octets, "example-guess"))
            done = one.charon.swanctl("--initiate", "--child", "hub", "--timeout", "20", check=False)
            assert done.returncode, name
            one.logout(force=True)
        wait_for("each is refused", lambda: len(refusals()) == len(NAMES))
        told = refusals()
        # What has a NUL, or is longer than MSCHAPv2's 256, the client does not even say.
        assert sum("reason='there is no such user'" in text for text in told) >= len(NAMES) - 2, told
        assert lab.hub.events("user.login", since=since) == [] and lab.hub.show("sessions") == []
        _one_line_each(lab)


def test_a_name_that_the_operators_authority_vouches_for(lab: Lab, clients: list[Client]) -> None:
    root, one, since = root_of_users(), clients[0], time.time()
    with gateway_of_users(lab, server(root)):
        authority = lab.hub.run("user", "ca").stdout
        for name in NAMES.values():
            pair = make(f"O=Example, CN={name[:_LONGEST]}", by=root, now=time.time())
            assert one.login(authority, pair), name
            (session,) = wait_for("the session is shown", lambda: lab.hub.show("sessions"))
            assert session["user"].isprintable() and session["identity"].isprintable()
            _one_line_each(lab)
            one.logout()
            wait_for("it has ended", lambda: lab.hub.show("sessions") == [])
        assert len(lab.hub.events("user.login", since=since)) == len(NAMES)
