"""Why a tunnel is down, in words: read from the hub, whoever starts, with what to change and where."""

import pytest

from tests.lab.test_suites import CASES, branch2
from tests.lab.topology import Branch, Lab, Suite
from tests.lab.waiting import wait_for

_BY_THE_BRANCH = {
    "algorithms": (
        2,
        "no algorithms in common: the branch offers IKE:AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024, the hub has ",
    ),
    "key": (2, "the branch has another preshared key; give both ends the same"),
    "identity": (2, "the branch calls itself someone.example, and is 192.0.2.6 here; "),
    "hub": (2, "the branch takes the hub for 198.51.100.9"),
    "version": (2, "the branch does not speak IKEv2, which this connection has; "),
    "IKEv1 key": (1, "what the branch encrypts cannot be read, as with another preshared key; "),
    "IKEv1 aggressive": (1, "the branch uses aggressive mode, which lets anybody guess at the preshared key; "),
}
_SLOW = {"hub", "version", "IKEv1 aggressive", "IKEv1 key"}
_WRONG = "wrong-key-that-nobody-may-read"
_V1 = CASES["IKEv1, hubgw's own choice"]
_V2 = CASES["IKEv2, hubgw's own choice"]


def _conf(branch: Branch, what: str) -> str:
    match what:
        case "algorithms":
            return branch.conf(suite=Suite(2, "aes128-sha1-modp1024", "aes256gcm16"))
        case "key":
            return branch.conf(key=_WRONG)
        case "identity":
            conf = branch.conf().replace("id1 = 192.0.2.6", "id1 = someone.example")
            return conf.replace("id = 192.0.2.6\n", "id = someone.example\n")
        case "hub":
            return branch.conf().replace("id = 198.51.100.1", "id = 198.51.100.9")
        case "version":
            return branch.conf(suite=_V1.suite)
        case "IKEv1 key":
            return branch.conf(key=_WRONG, suite=_V1.suite)
        case _:
            return branch.conf(suite=_V1.suite).replace("version = 1", "version = 1\n    aggressive = yes")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.slow if what in _SLOW else ()) for what in _BY_THE_BRANCH]
)
def test_what_a_branch_that_starts_does_otherwise(lab: Lab, what: str) -> None:
    version, words = _BY_THE_BRANCH[what]
    branch, hub = lab.branches["br2"], lab.hub
    with branch2(lab, _V1 if version == 1 else _V2, "ResponderOnly"):
        branch.charon.load(_conf(branch, what))
        lab.branches["br2"].end_sas()
        branch.charon.swanctl("--initiate", "--child", "i0", "--timeout", "5", check=False)
        wait_for("the hub says why", lambda: hub.tunnel("branch2", 0)["lastError"].startswith(words), 30)
        assert words.rstrip("; ") in hub.run("events").stdout
        assert hub.tunnel("branch1", 0)["lastError"] == ""
        assert _WRONG not in hub.agent_log


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("algorithms", "the branch takes none of what the hub offers (aes256gcm16-prfsha384-ecp384-x25519, "),
        ("key", "the branch has another preshared key, or knows no hub called 198.51.100.10; "),
        ("silence", "no answer from 192.0.2.6; "),
    ],
)
def test_what_a_branch_that_answers_does_otherwise(lab: Lab, what: str, words: str) -> None:
    branch, hub = lab.branches["br2"], lab.hub
    with branch2(lab, _V2):
        try:
            if what == "silence":
                branch.charon.kill()
            else:
                branch.charon.load(_conf(branch, what))
                lab.branches["br2"].end_sas()
            wait_for("the hub says why", lambda: hub.tunnel("branch2", 0)["lastError"].startswith(words), 90)
        finally:
            if what == "silence":
                branch.charon.start()
    assert hub.tunnel("branch2", 0)["lastError"] == "", "it goes when the tunnel is up"
