"""A policy that changes while its tunnels carry: others beside them; or, refused, the old go on."""

from tests.lab.probes import traffic
from tests.lab.reach import pings
from tests.lab.test_suites import CASES, branch2
from tests.lab.topology import Lab, Suite
from tests.lab.waiting import wait_for

_CONNECTION = """
type: vpnConnections
name: gw1/branch2
properties:
  remoteVpnSite: branch2
  sharedKey: example-key-of-branch-2
  ipsecPolicies:
    - ipsecEncryption: {esp}
      ipsecIntegrity: {esp}
      ikeEncryption: {ike}
      ikeIntegrity: SHA384
      dhGroup: ECP384
      pfsGroup: ECP384
"""
_IKE = "aes256gcm16-prfsha384-ecp384, aes256-sha384-ecp384"
_ESP = "aes256gcm16-ecp384, aes128gcm16-ecp384"
_ALL = Suite(2, f"{_IKE}, aes128gcm16-prfsha384-ecp384", _ESP)
_BOTH = Suite(2, _IKE, _ESP)


def _sas(lab: Lab, instance: int) -> tuple[str, str]:
    tunnel = lab.hub.tunnel("branch2", instance)
    return tunnel["ikeCipher"], tunnel["cipher"]


def _both(lab: Lab, ike: str, esp: str) -> bool:
    return all(_sas(lab, instance)[0].startswith(ike) and _sas(lab, instance)[1].startswith(esp) for instance in (0, 1))


def test_what_the_branch_accepts_is_set_up_beside_and_what_it_refuses_is_told(lab: Lab) -> None:
    br2, hub, vnet1 = lab.branches["br2"], lab.hub, lab.vnets["vnet1"]
    with branch2(lab, CASES["IKEv2, hubgw's own choice"]):
        br2.charon.load(br2.conf(suite=_BOTH))
        hub.apply_text(_CONNECTION.format(ike="GCMAES256", esp="GCMAES256"))
        wait_for("the first policy", lambda: _both(lab, "AES_GCM_16-256", "AES_GCM_16-256"), 60)
        with traffic(vnet1, "10.50.0.4", br2.node, br2.lan) as outcome:
            # The same IKE SA has both children for a time, and then another IKE SA stands beside.
            hub.apply_text(_CONNECTION.format(ike="GCMAES256", esp="GCMAES128"))
            wait_for("other children", lambda: _both(lab, "AES_GCM_16-256", "AES_GCM_16-128"), 60)
            hub.apply_text(_CONNECTION.format(ike="AES256", esp="GCMAES128"))
            wait_for("another IKE SA", lambda: _both(lab, "AES_CBC-256", "AES_GCM_16-128"), 60)
            wait_for("the old ones have ended", lambda: br2.charon.established() == ["i0", "i1"], 60)
            wait_for("no kernel SA of the old", lambda: len(hub.sas(br2.address)) == 4, 60)
        assert outcome.there is not None and outcome.back is not None
        # The branch sends on a new SA together with its answer, before the hub can have it.
        assert outcome.there.lost == 0 and outcome.back.lost <= outcome.back.sent // 100, str(outcome)

        def _refused(instance: int) -> bool:
            return "takes none of what the hub offers" in hub.tunnel("branch2", instance)["lastError"]

        before = [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)]
        hub.apply_text(_CONNECTION.format(ike="GCMAES128", esp="GCMAES128"))
        wait_for("the branch's refusal is told", lambda: all(map(_refused, (0, 1))), 60)
        assert [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)] == before
        assert pings(vnet1, "10.50.0.4", br2.lan)
        # What is rekeyed meanwhile is by the old terms; the branch comes to take the new ones.
        for instance in (0, 1):
            br2.charon.swanctl("--rekey", "--child", f"i{instance}")
        br2.charon.load(br2.conf(suite=_ALL))
        wait_for("the policy at last", lambda: _both(lab, "AES_GCM_16-128", "AES_GCM_16-128"), 120)
        assert pings(vnet1, "10.50.0.4", br2.lan)
