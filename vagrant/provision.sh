#!/bin/bash
# Makes a Debian 13 machine an appliance: the packages of packaging/packages.txt, hubgw in /opt/hubgw, the units. May be run again.
set -euo pipefail
umask 022
repo=$(cd "$(dirname "$0")/.." && pwd)
share=/usr/share/hubgw

. /etc/os-release
[ "${VERSION_CODENAME:-}" = trixie ] || { echo "hubgw's appliance is Debian 13 (trixie), and this is ${PRETTY_NAME:-unknown}" >&2; exit 1; }

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2046 # a word a package
apt-get install -y -q --no-install-recommends systemd $(sed 's/#.*//' "$repo/packaging/packages.txt")

getent group hubgw >/dev/null || groupadd --system hubgw
install -d -m 700 /var/lib/hubgw
install -d "$share/source"
rm -rf "$share/source/hubgw" "$share/source/config-templates"
cp -r "$repo/hubgw" "$repo/config-templates" "$share/source/"
install -m 644 "$repo/packaging/packages.txt" "$repo/packaging/close-ike.nft" "$share/"

[ -x /opt/hubgw/bin/python ] || python3 -m venv --system-site-packages /opt/hubgw
python3 "$repo/packaging/runtime_lock.py" "$repo/pyproject.toml" "$repo/requirements.lock" > "$share/runtime.lock"
/opt/hubgw/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r "$share/runtime.lock"
echo "$share/source" > "$(echo /opt/hubgw/lib/python3*/site-packages)/hubgw.pth"
/opt/hubgw/bin/python -m compileall -q "$share/source"
# The BGP speakers run it under uids of their own.
chmod -R go=rX "$share/source" /opt/hubgw
install -m 755 "$repo/packaging/hubgw" /usr/local/bin/hubgw

install -D -m 644 "$repo/packaging/charon.conf" /etc/strongswan.d/hubgw.conf
install -D -m 644 "$repo/packaging/networkd.conf" /etc/systemd/networkd.conf.d/hubgw.conf
install -D -m 644 "$repo/packaging/systemd/hubgw-agent.service" /etc/systemd/system/hubgw-agent.service
install -D -m 644 "$repo/packaging/systemd/hubgw-bgp.service" /etc/systemd/system/hubgw-bgp.service
install -D -m 644 "$repo/packaging/systemd/strongswan.service.d/hubgw.conf" /etc/systemd/system/strongswan.service.d/hubgw.conf

for profile in usr.sbin.charon-systemd usr.sbin.swanctl; do
  install -D -m 644 "$repo/packaging/apparmor/$profile" "/etc/apparmor.d/local/hubgw.$profile"
  include="include if exists <local/hubgw.$profile>"
  # What else is there is the operator's.
  grep -qxF "$include" "/etc/apparmor.d/local/$profile" 2>/dev/null || echo "$include" >> "/etc/apparmor.d/local/$profile"
  if [ -e /sys/kernel/security/apparmor/.load ] && [ -e "/etc/apparmor.d/$profile" ] && command -v apparmor_parser >/dev/null; then
    apparmor_parser --replace "/etc/apparmor.d/$profile"
  fi
done

systemctl enable strongswan.service hubgw-bgp.service hubgw-agent.service
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-reload-or-restart systemd-networkd.service
  systemctl restart strongswan.service hubgw-bgp.service hubgw-agent.service
fi
echo "hubgw is installed: hubgw --help"
