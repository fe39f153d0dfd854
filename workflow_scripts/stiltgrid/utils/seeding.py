"""Random seeds derived from names, so that a job's results do not depend on the jobs that ran before it."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any values: the same values give the same seed on every machine."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
