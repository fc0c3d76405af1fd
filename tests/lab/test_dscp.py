"""The code point of a packet on the outer header, both ways; one that the underlay has changed stays outside."""

from tests.lab.capture import capture
from tests.lab.reach import answer_to
from tests.lab.topology import Lab

_EF = "ip[1] & 0xfc == 0xb8"
_CS1 = "ip[1] & 0xfc == 0x20"
_PINGS = 3


def test_the_code_point_is_copied_outwards_and_never_inwards(lab: Lab) -> None:
    br2, vnet1 = lab.branches["br2"], lab.vnets["vnet1"]
    marked = f"""table ip marks {{
  chain forward {{
    type filter hook forward priority 0
    ip saddr {br2.address} ip dscp set cs1
  }}
}}"""
    with (
        capture(lab.isp, "uhub", f"ip proto 50 and dst host {br2.address} and {_EF}", to_the_last=True) as out,
        capture(lab.isp, "ubr2", f"ip proto 50 and src host {br2.address} and {_EF}", to_the_last=True) as back,
        capture(lab.isp, "uhub", f"ip proto 50 and src host {br2.address} and {_CS1}", to_the_last=True) as changed,
        capture(vnet1, "eth0", f"icmp[icmptype] = icmp-echoreply and {_EF}", to_the_last=True) as inner,
    ):
        lab.isp.run("nft", "-f", "-", stdin=marked)
        try:
            for _ in range(_PINGS):
                assert "1 received" in answer_to(vnet1, "10.50.0.4", br2.lan, "-Q", "0xb8")
        finally:
            lab.isp.run("nft", "delete", "table", "ip", "marks")
        assert "1 received" in answer_to(vnet1, "10.50.0.4", br2.lan)
    assert [len(seen.lines) for seen in (out, back, changed, inner)] == 4 * [_PINGS]
