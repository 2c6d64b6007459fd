"""A device's two rows: each says all that it was made of, and the one that is read for every list is light."""

from __future__ import annotations

from datetime import datetime

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from common.crypto.certificates import KeyKind, certified_key, new_authority
from common.crypto.device_keys import DevicePublicKey, new_signing_key
from common.ids import new_id
from device_manager.device_db import device_put, keys_put
from device_manager.device_model import Device, DeviceKeys, Role
from tests.unit.builders import DAY, T0, moments, names, uuids

KILOBYTE = 1024
HEX = st.text("0123456789abcdef", min_size=1, max_size=64)


@given(
    device=st.builds(
        Device,
        user_uuid=uuids,
        device_id=uuids,
        device_name=names,
        role=st.sampled_from(Role),
        registered_at=moments(),
        issuer=HEX,
        serial=HEX,
        fingerprint=HEX,
        not_before=moments(),
        not_after=moments(),
        revoked_at=st.none() | moments(),
        superseded=st.none() | HEX,
        renewals=st.none() | moments(),
    )
)
def test_a_row_is_read_as_it_was_written(device: Device) -> None:
    """Whatever stands in it."""
    assert Device.from_item(orjson.loads(orjson.dumps(device.to_item()))) == device


def fullest(name: str) -> Device:
    """Return a device with everything that a row can hold."""
    now: datetime = T0
    device = Device(
        new_id(), new_id(), name, Role.SECONDARY, now, "a" * 40, "b" * 40, "c" * 64, now, now + DAY, revoked_at=now
    )
    key = new_signing_key().public_key()
    certificate = new_authority(T0, KeyKind.CLASSICAL).issue(device.user_uuid, device.device_id, key, now)
    return device.renewed(certificate, now)


@pytest.mark.parametrize("name", ["Phone", "\N{MOBILE PHONE}" * 64])
def test_a_row_is_written_for_one_unit(name: str) -> None:
    """At its fullest it stays under 1 KB, even as JSON, in which every number and name is longer than in DynamoDB."""
    assert len(orjson.dumps(fullest(name).to_item())) < KILOBYTE


@pytest.mark.requirement("R58")
@pytest.mark.parametrize("kind", KeyKind)
def test_what_is_heavy_lies_apart_under_the_same_key(kind: KeyKind) -> None:
    """The row knows its certificate's particulars, the other one the certificate, from which the key is read."""
    key: DevicePublicKey
    key = (new_signing_key() if kind is KeyKind.POST_QUANTUM else ec.generate_private_key(ec.SECP256R1())).public_key()
    device, authority = fullest("Phone"), new_authority(T0, kind)
    certificate = authority.issue(device.user_uuid, device.device_id, key, T0)
    keys = DeviceKeys(device.user_uuid, device.device_id, b"an earlier one", kem="AAAA").renewed(certificate)
    read = DeviceKeys.from_item(orjson.loads(orjson.dumps(keys.to_item())))
    assert read == keys
    assert (certified_key(read.certificate), read.kem) == (key, "AAAA")
    assert device.renewed(certificate, T0).issuer == certificate.issuer == authority.name
    row, apart = device_put(device), keys_put(keys)
    assert (row.table.name, apart.table.name) == ("DevicesTable", "DeviceKeysTable")
    assert (row.key.partition, row.key.sort) == (apart.key.partition, apart.key.sort)
