"""RADIUS servers of a vpnServerConfiguration, which say of users' names and passwords whether they are good."""

from typing import Annotated, Final

from pydantic import Field, PlainSerializer, PlainValidator

from hubgw.names import Secret
from hubgw.resources.base import Address, Model
from hubgw.resources.passwords import typed

RadiusSecret = Annotated[
    Secret, PlainValidator(typed("a RADIUS secret", range(8, 129))), PlainSerializer(Secret.reveal)
]

GREATEST_SCORE: Final = 30


class RadiusServer(Model):
    """That of the greatest score is asked first; an absent `radius_server_secret` is the stored one."""

    radius_server_address: Address
    radius_server_score: Annotated[int, Field(ge=1, le=GREATEST_SCORE)] = GREATEST_SCORE
    radius_server_secret: RadiusSecret | None = None
