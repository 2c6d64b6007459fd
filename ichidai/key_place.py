"""Where a suite's keys lie: in files on each host, or sealed in the store."""

from __future__ import annotations

from common.keys.key_encryption import KeyEncryptingKey, check_usable, read_key_encrypting_key
from common.keys.key_file import KeyFolder
from common.keys.sealed_files import SealedFolder
from common.storage.port import Store
from ichidai.settings import Settings


def key_folder(settings: Settings, store: Store) -> KeyFolder:
    """Return the place. Raises KeyRingError for a key-encrypting key that cannot be used."""
    if not settings.sealing_key:
        return settings.keys_dir
    return SealedFolder(store, _key_encrypting_key(settings))


def check_sealing_key(settings: Settings) -> None:
    """Try the key-encrypting key, if one is set. Raises KeyRingError where no key could be sealed and opened by it."""
    if settings.sealing_key:
        check_usable(_key_encrypting_key(settings))


def _key_encrypting_key(settings: Settings) -> KeyEncryptingKey:
    return read_key_encrypting_key(settings.sealing_key, settings.registration.aws_region)
