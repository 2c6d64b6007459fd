"""A key-encrypting key that never leaves AWS KMS."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from common.keys.errors import KeyRingError

_ARN_PARTS = 6


class KmsKey:
    """A symmetric key of AWS KMS, by its id, alias or ARN. The store's id is its encryption context."""

    def __init__(self, key: str, region: str) -> None:
        self._key = key
        parts = key.split(":")
        self._region = parts[3] if len(parts) == _ARN_PARTS else region
        self.name = f"kms:{key}"

    def wrap(self, key: bytes, store_id: str) -> bytes:
        """See `KeyEncryptingKey.wrap`."""
        return self._asked("encrypt", "CiphertextBlob", Plaintext=key, EncryptionContext=_context(store_id))

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        """See `KeyEncryptingKey.unwrap`."""
        return self._asked("decrypt", "Plaintext", CiphertextBlob=wrapped, EncryptionContext=_context(store_id))

    def _asked(self, verb: str, answered: str, **more: Any) -> bytes:
        try:
            return bytes(getattr(self._client, verb)(KeyId=self._key, **more)[answered])
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            raise KeyRingError(
                f"AWS KMS does not open the keys of this store by {self.name} ({code}): check ICHIDAI_SEALING_KEY, "
                "AWS_REGION, the credentials, their right to kms:Encrypt and kms:Decrypt, and that KMS can be reached."
            ) from error

    @cached_property
    def _client(self) -> Any:
        limits = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
        session: Any = boto3.session.Session()
        return session.client("kms", region_name=self._region or None, config=limits)


def _context(store_id: str) -> dict[str, str]:
    return {"ichidai-store": store_id}
