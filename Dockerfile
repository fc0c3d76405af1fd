# The appliance as a container: strongSwan, nftables and hubgw under a small supervisor. No secret is in it; state lies in /var/lib/hubgw.
FROM debian:trixie-slim

COPY packaging/packages.txt /usr/share/hubgw/
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(sed 's/#.*//' /usr/share/hubgw/packages.txt) \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && groupadd --system hubgw \
 && mkdir -p -m 700 /var/lib/hubgw

COPY pyproject.toml requirements.lock packaging/runtime_lock.py /usr/share/hubgw/
RUN cd /usr/share/hubgw \
 && python3 -m venv --system-site-packages /opt/hubgw \
 && python3 runtime_lock.py pyproject.toml requirements.lock > runtime.lock \
 && /opt/hubgw/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r runtime.lock \
 && echo /usr/share/hubgw/source > "$(echo /opt/hubgw/lib/python3*/site-packages)/hubgw.pth"

COPY packaging/close-ike.nft /usr/share/hubgw/
COPY packaging/charon.conf /etc/strongswan.d/hubgw.conf
COPY packaging/hubgw /usr/local/bin/
COPY packaging/container/etc/ /etc/
COPY config-templates /usr/share/hubgw/source/config-templates
COPY hubgw /usr/share/hubgw/source/hubgw
# The BGP speakers run it under uids of their own.
RUN /opt/hubgw/bin/python -m compileall -q /usr/share/hubgw/source \
 && chmod -R go=rX /usr/share/hubgw/source

VOLUME /var/lib/hubgw
STOPSIGNAL SIGHUP
CMD ["runsvdir", "-P", "/etc/service"]
