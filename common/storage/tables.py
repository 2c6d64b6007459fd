"""The tables of the suite. Names and key attributes are those of DynamoDB; every engine keeps the same ones."""

from __future__ import annotations

from common.storage.port import Table

KB = 1024

USERS = Table("UsersTable", "uuid", largest=8 * KB)
NAMES = Table("NamesTable", "claim", largest=4 * KB)
FACTORS = Table("FactorsTable", "user_uuid", largest=24 * KB)
SESSIONS = Table("SessionsTable", "user_uuid", largest=56 * KB)
DEVICES = Table("DevicesTable", "user_uuid", "device_id", largest=2 * KB)
DEVICE_KEYS = Table("DeviceKeysTable", "user_uuid", "device_id", largest=20 * KB)
PAIRING_TOKENS = Table("PairingTokensTable", "token_hash", expires=True, largest=1 * KB)
CHALLENGES = Table("ChallengesTable", "challenge_hash", expires=True, largest=2 * KB)
LOGIN_HISTORY = Table("LoginHistory", "user_uuid", "change_no", sort_is_number=True, expires=True, largest=32 * KB)
THROTTLE = Table("ThrottleTable", "bucket", expires=True, largest=4 * KB)
KEY_RING = Table("KeyRingTable", "id", largest=256 * KB)
REVOCATIONS = Table("RevocationsTable", "issuer_shard", "serial", expires=True, largest=1 * KB)
MAILS = Table("MailsTable", "queue", "id", expires=True, largest=8 * KB)
FEED = Table("FeedTable", "bucket", "id", expires=True, largest=16 * KB)
AUDIT = Table("AuditTable", "bucket", "id", expires=True, largest=8 * KB)

ALL = (
    USERS,
    NAMES,
    FACTORS,
    SESSIONS,
    DEVICES,
    DEVICE_KEYS,
    PAIRING_TOKENS,
    CHALLENGES,
    LOGIN_HISTORY,
    THROTTLE,
    KEY_RING,
    REVOCATIONS,
    MAILS,
    FEED,
    AUDIT,
)
