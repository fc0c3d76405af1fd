"""A profile -> the UUID by which a platform knows it again: the next profile of a user takes the place of the last."""

from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from hubgw.profiles.types import Profile

_SPACE: Final = uuid5(NAMESPACE_URL, "hubgw:profiles")


def identity(profile: Profile, part: str = "") -> UUID:
    """Returns the UUID of a profile, or of a part of it."""
    return uuid5(uuid5(uuid5(uuid5(_SPACE, profile.server), profile.user), profile.name), part)
