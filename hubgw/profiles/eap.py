"""An EAP method -> EapHostConfig, the XML that Windows is told of it by.

The schemas are in [MS-GPWL] 2.2.3.2, https://learn.microsoft.com/openspecs/windows_protocols/ms-gpwl.
"""

from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

_EAP_TLS: Final = 13
_EAP_MSCHAPV2: Final = 26

_PROVISIONING: Final = "http://www.microsoft.com/provisioning"
_HOST: Final = f"{{{_PROVISIONING}/EapHostConfig}}"
_COMMON: Final = f"{{{_PROVISIONING}/EapCommon}}"
_BASE: Final = f"{{{_PROVISIONING}/BaseEapConnectionPropertiesV1}}"
_TLS: Final = f"{{{_PROVISIONING}/EapTlsConnectionPropertiesV1}}"
_TLS2: Final = f"{{{_PROVISIONING}/EapTlsConnectionPropertiesV2}}"
_MSCHAP: Final = f"{{{_PROVISIONING}/MsChapV2ConnectionPropertiesV1}}"
for _prefix, _name in (
    ("host", _HOST),
    ("common", _COMMON),
    ("base", _BASE),
    ("tls", _TLS),
    ("tls2", _TLS2),
    ("mschap", _MSCHAP),
):
    register_namespace(_prefix, _name.strip("{}"))


def eap_tls(thumbprints: Iterable[str]) -> str:
    """Returns EAP-TLS by the user's certificate; the server's is verified by the authorities of these thumbprints."""
    top, method = _host(_EAP_TLS, _TLS)
    store = SubElement(SubElement(method, f"{_TLS}CredentialsSource"), f"{_TLS}CertificateStore")
    _add(store, f"{_TLS}SimpleCertSelection", "true")
    validation = SubElement(method, f"{_TLS}ServerValidation")
    _add(validation, f"{_TLS}DisableUserPromptForServerValidation", "true")
    _add(validation, f"{_TLS}ServerNames", "")
    for one in thumbprints:
        _add(validation, f"{_TLS}TrustedRootCA", " ".join(one[at : at + 2] for at in range(0, len(one), 2)))
    _add(method, f"{_TLS}DifferentUsername", "false")
    _add(method, f"{_TLS2}PerformServerValidation", "true")
    # The gateway's name was verified by IKE before; that of a RADIUS server's certificate is its own.
    _add(method, f"{_TLS2}AcceptServerName", "false")
    return tostring(top, encoding="unicode")


def eap_mschapv2() -> str:
    """Returns EAP-MSCHAPv2 with a name and a password that Windows asks for."""
    top, method = _host(_EAP_MSCHAPV2, _MSCHAP)
    _add(method, f"{_MSCHAP}UseWinLogonCredentials", "false")
    return tostring(top, encoding="unicode")


def _host(number: int, properties: str) -> tuple[Element, Element]:
    top = Element(f"{_HOST}EapHostConfig")
    method = SubElement(top, f"{_HOST}EapMethod")
    for name, value in (("Type", number), ("VendorId", 0), ("VendorType", 0), ("AuthorId", 0)):
        _add(method, f"{_COMMON}{name}", str(value))
    eap = SubElement(SubElement(top, f"{_HOST}Config"), f"{_BASE}Eap")
    _add(eap, f"{_BASE}Type", str(number))
    return top, SubElement(eap, f"{properties}EapType")


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = text
