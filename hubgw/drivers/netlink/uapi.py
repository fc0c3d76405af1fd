"""The kernel's numbers: net/if.h, linux/{rtnetlink,if_link,if_addr,ip,nexthop,fib_rules,pkt_sched,pkt_cls}.h and
linux/tc_act/tc_nat.h; and one of ours."""

from typing import Final

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_SETLINK: Final = 19
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26
RTM_NEWRULE: Final = 32
RTM_DELRULE: Final = 33
RTM_GETRULE: Final = 34
RTM_NEWQDISC: Final = 36
RTM_DELQDISC: Final = 37
RTM_GETQDISC: Final = 38
RTM_NEWTFILTER: Final = 44
RTM_DELTFILTER: Final = 45
RTM_GETTFILTER: Final = 46
RTM_NEWNEXTHOP: Final = 104
RTM_DELNEXTHOP: Final = 105
RTM_GETNEXTHOP: Final = 106

IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_LINK: Final = 5
IFLA_MASTER: Final = 10
IFLA_LINKINFO: Final = 18
IFLA_IFALIAS: Final = 20
IFLA_STATS64: Final = 23
IFLA_AF_SPEC: Final = 26
IFLA_GROUP: Final = 27
IFLA_EXT_MASK: Final = 29
IFLA_INFO_KIND: Final = 1
IFLA_INFO_DATA: Final = 2
IFLA_VRF_TABLE: Final = 1
IFLA_XFRM_LINK: Final = 1
IFLA_XFRM_IF_ID: Final = 2
IFLA_VLAN_ID: Final = 1
IFLA_INET_CONF: Final = 1
IFLA_INET6_ADDR_GEN_MODE: Final = 8
IN6_ADDR_GEN_MODE_NONE: Final = 1
IPV4_DEVCONF_FORWARDING: Final = 1
IPV4_DEVCONF_RP_FILTER: Final = 8
IPV4_DEVCONF_PROMOTE_SECONDARIES: Final = 20
RTEXT_FILTER_SKIP_STATS: Final = 8
IFF_UP: Final = 1

IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFA_FLAGS: Final = 8
IFA_F_NOPREFIXROUTE: Final = 0x200

RTA_DST: Final = 1
RTA_OIF: Final = 4
RTA_GATEWAY: Final = 5
RTA_PRIORITY: Final = 6
RTA_TABLE: Final = 15
RTA_NH_ID: Final = 30
RTN_UNSPEC: Final = 0
RTN_UNICAST: Final = 1
RTN_UNREACHABLE: Final = 7
RT_SCOPE_UNIVERSE: Final = 0
RT_SCOPE_LINK: Final = 253
RT_SCOPE_NOWHERE: Final = 255

TC_H_CLSACT: Final = 0xFFFFFFF1
TC_H_MIN_INGRESS: Final = 0xFFFFFFF2
TC_H_MIN_EGRESS: Final = 0xFFFFFFF3
TC_ACT_UNSPEC: Final = -1
TCA_KIND: Final = 1
TCA_OPTIONS: Final = 2
TCA_MATCHALL_ACT: Final = 2
TCA_ACT_KIND: Final = 1
TCA_ACT_OPTIONS: Final = 2
TCA_NAT_PARMS: Final = 1
TCA_NAT_FLAG_EGRESS: Final = 1

NHA_ID: Final = 1
NHA_GROUP: Final = 2
NHA_BLACKHOLE: Final = 4
NHA_OIF: Final = 5
NHA_GATEWAY: Final = 6

FRA_SRC: Final = 2
FRA_PRIORITY: Final = 6
FRA_FWMARK: Final = 10
FRA_SUPPRESS_PREFIXLEN: Final = 14
FRA_TABLE: Final = 15
FRA_FWMASK: Final = 16
FRA_L3MDEV: Final = 19
FRA_UID_RANGE: Final = 20
FRA_PROTOCOL: Final = 21
FR_ACT_TO_TBL: Final = 1
FR_ACT_UNREACHABLE: Final = 7

DOOMED: Final = 0x68676464
"""Link group that interfaces are moved to, so that one message deletes them all with one RCU wait."""
