"""`hubgw delete --all` leaves nothing of ours, compared with what there was before the agent first ran."""

from tests.lab.topology import Lab, baseline


def test_delete_all_leaves_nothing(lab: Lab) -> None:
    try:
        lab.hub.run("delete", "--all", "--yes")
        assert baseline(lab.hub) == lab.baseline
        assert lab.hub.show("wan") == []
    finally:
        lab.hub.apply("wan1.yaml", "wan2.yaml", "node.yaml")
    lab.hub.wait_connected(seconds=90)
