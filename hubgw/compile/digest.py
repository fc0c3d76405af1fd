"""A secret -> what tells it from another one, and nothing of it to who has not the store's key."""

import hashlib
import hmac

from hubgw.names import Secret


def keyed_digest(secret_key: bytes, owner: str, secret: Secret) -> str:
    """Returns 16 hexadecimal digits; equal secrets of two owners have two."""
    text = f"{owner}\0{secret.reveal()}".encode()
    return hmac.new(secret_key, text, hashlib.sha256).hexdigest()[:16]
