"""The fields that hold PEM, and subjects as identities: checked one by one; check_certificates says what fits."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, PlainSerializer, PlainValidator

from hubgw.names import Secret
from hubgw.pki.distinguished import ATTRIBUTES
from hubgw.pki.reading import Unreadable, key_id, read_certificates, read_revocation_lists
from hubgw.resources.base import Lenient, NotEmpty, fault, text_of

_MOST: Final = 65_536  # characters of PEM in one field
_WRITE: Final = "write it after |, from -----BEGIN to -----END"

_VALUE: Final = r"[A-Za-z0-9 .:@_()'-]{1,64}"
_PART: Final = rf"(?:{'|'.join(sorted(ATTRIBUTES.values()))})={_VALUE}"
_SUBJECT: Final = re.compile(rf"{_PART}(?:, ?{_PART}){{0,7}}", re.ASCII)
_PART_OR_ANY: Final = rf"(?:{'|'.join(sorted(ATTRIBUTES.values()))})=(?:{_VALUE}|\*)"
_PATTERN: Final = re.compile(rf"{_PART_OR_ANY}(?:, ?{_PART_OR_ANY}){{0,7}}", re.ASCII)


def distinguished(text: str) -> str | None:
    """Returns a subject as charon writes it, None where it is none that charon could be told.

    >>> distinguished("O=Example,CN=branch1")
    'O=Example, CN=branch1'
    """
    if not _SUBJECT.fullmatch(text):
        return None
    return ", ".join(part.strip() for part in text.split(","))


def subject_pattern(text: str) -> str | None:
    """Returns a subject, some of whose values may be ``*`` for any, as charon writes it; None where it is none.

    >>> subject_pattern("O=Example,OU=finance,CN=*"), subject_pattern("CN=a*")
    ('O=Example, OU=finance, CN=*', None)
    """
    if not _PATTERN.fullmatch(text):
        return None
    return ", ".join(part.strip() for part in text.split(","))


def _readable(read: Callable[[str], tuple[Any, ...]], most: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if len(text) > _MOST:
            raise fault(f"expected at most {_MOST} characters")
        try:
            found = len(read(text))
        except Unreadable as reason:
            raise fault(str(reason), _WRITE) from None
        if found > most:
            raise fault(f"holds {found}, and one is expected in each item of the list")
        return text

    return check


def _private_key(value: object) -> Secret:
    key = value if isinstance(value, Secret) else Secret(text_of(value, "a private key as PEM"))
    if len(key) > _MOST:
        raise fault(f"expected at most {_MOST} characters")
    try:
        key_id(key)
    except Unreadable as reason:
        raise fault(str(reason), "write it after |, without a passphrase") from None
    return key


_CHAIN: Final = 8

Chain = Annotated[str, AfterValidator(_readable(read_certificates, _CHAIN))]
"""A certificate, and after it those of the authorities between it and the root."""

PrivateKey = Annotated[Secret, PlainValidator(_private_key), PlainSerializer(Secret.reveal)]
Authorities = Annotated[tuple[Annotated[str, AfterValidator(_readable(read_certificates, 1))], ...], Lenient, NotEmpty]
RevocationLists = Annotated[tuple[Annotated[str, AfterValidator(_readable(read_revocation_lists, 1))], ...], Lenient]
