"""Say where AWS is and as whom to speak there; no SDK, so that configuration can build it anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Keys:
    """Hold an identity's static keys."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Identity:
    """Say as whom to speak: static keys, else a named profile, else what the SDK finds (instance or pod role)."""

    keys: Keys | None = None
    profile: str | None = None


@dataclass(frozen=True)
class AwsAccess:
    """Name the place and the two identities: one mints and can write nothing, one revokes and can issue nothing.

    `endpoint_url` is None on real AWS. The revoker belongs to the account of the roles it writes to.
    """

    endpoint_url: str | None
    region: str
    minter: Identity
    revoker: Identity
