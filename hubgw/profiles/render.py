"""A profile -> a file of one platform, or every reason why that cannot be."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hubgw.pki.reading import Unreadable
from hubgw.profiles import android, apple, azure, linux, networkmanager, windows
from hubgw.profiles.check import check
from hubgw.profiles.errors import ProfileError
from hubgw.profiles.types import Platform, Profile, Rendered
from hubgw.resources.problem import Finding


@dataclass(frozen=True, slots=True)
class _Renderer:
    check: Callable[[Profile], Iterable[Finding]]
    render: Callable[[Profile], Rendered]


_RENDERERS: Final[Mapping[Platform, _Renderer]] = {
    "windows": _Renderer(windows.check, windows.render),
    "apple": _Renderer(apple.check, apple.render),
    "android": _Renderer(android.check, android.render),
    "linux": _Renderer(linux.check, linux.render),
    "networkmanager": _Renderer(networkmanager.check, networkmanager.render),
    "azure": _Renderer(azure.check, azure.render),
}
_CERTIFICATES: Final = frozenset({"authorities", "intermediates", "credentials"})
PLATFORMS: Final = tuple(_RENDERERS)


def render(platform: Platform, profile: Profile) -> Rendered:
    """Returns the profile's file for a platform.

    Raises:
        ProfileError: A value of the profile is wrong, or the platform cannot do what it says.
    """
    renderer = _RENDERERS[platform]
    findings = [*check(profile)]
    if _CERTIFICATES.isdisjoint(one.path[0] for one in findings):
        # A platform's own checks read the certificates.
        findings += renderer.check(profile)
    if findings:
        raise ProfileError(findings)
    try:
        return renderer.render(profile)
    except Unreadable as problem:
        # Only the key is not read before: nobody but the renderers needs it.
        raise ProfileError([Finding(("credentials", "key"), str(problem))]) from None
