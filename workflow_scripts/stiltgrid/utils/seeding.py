"""Random seeds from names, so that no job's numbers depend on what ran before it."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any words: the same words give the same seed on every machine."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
