"""What proofs, certificates and tokens cost beside a password's hash, and how long they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import suite
from benchmarks.bench import Bench
from benchmarks.chart import Bar, Chart
from benchmarks.measuring import Sample, interleaved
from benchmarks.report import Finding
from common.clock import system_clock
from common.crypto.certificates import CertificateAuthority, KeyKind, new_authority
from common.crypto.crl import RevocationReason, Revoked, revocation_list
from common.crypto.csr import read_request
from common.crypto.device_keys import DevicePrivateKey, is_signed, public_key_text, read_public_key, signature_of
from common.crypto.jws import Algorithm, new_signing_key
from common.crypto.kem import decrypt_challenge, encrypt_challenge, new_kem_key_pair
from common.crypto.passwords import OWASP_MINIMUM, new_password_hash
from common.crypto.tokens import AccessTokens, Claims, SingleKey
from common.ids import new_id
from common.proof.dpop import read_proof
from common.proof.statements import Purpose, statement
from ichidai.apps import app_for
from ichidai.client.addresses import AppAddresses
from ichidai.client.dpop_prover import DpopProver
from ichidai.client.keys import DeviceKeys
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build

_SHARE_SECONDS = 0.05
_REVOKED = 1_000
_UNIT = "Argon2id, one password"
_PASSWORD = "correct horse battery 42"  # noqa: S105 - of nobody
_ISSUER = "https://accounts.example.com"
_ABOUT = f"""\
Processor time of one operation in one thread, as the suite or its client does it; 1 = a password's hash (Argon2id,
19 MiB, t = 2, p = 1), which comes before every challenge. Bytes are those of what the operation makes: raw signatures,
DER of certificates and lists, characters of tokens and of requests in PEM. A token that is checked again has
its signature remembered; its session is read every time, which is not counted here. Each operation
runs for {_SHARE_SECONDS * 1000:.0f} ms a round."""


@dataclass(frozen=True, slots=True)
class _Operation:
    """Something to be timed, and the size of what it makes, where that matters."""

    run: Callable[[], object]
    size: int | None = None


def measure(bench: Bench) -> Finding:
    """Measure what proofs, certificates and tokens cost."""
    operations = {_UNIT: _Operation(lambda: new_password_hash(_PASSWORD, OWASP_MINIMUM))}
    for kind in KeyKind:
        operations |= _of_devices(kind) | _of_authorities(kind)
    operations |= _sealing() | _tokens()
    cases = {name: partial(_timed, operation.run) for name, operation in operations.items()}
    bench.begin("proofs", len(cases) * (bench.rounds + 1))
    measured = interleaved(cases, bench.rounds, bench.step)
    unit = measured[_UNIT]["cpu"].median
    rows = [
        (
            name,
            measured[name]["cpu"].over(unit).written(".3f"),
            measured[name]["cpu"].written(),
            "" if operation.size is None else f"{operation.size:,}",
        )
        for name, operation in operations.items()
    ]
    rows += [(name, "", "", f"{size:,}") for name, size in _handed_out(bench.folder / "suite").items()]
    bars = [Bar(name, measured[name]["cpu"].median / unit, name != _UNIT) for name in operations]
    chart = Chart(
        "proofs.svg",
        "What proofs, certificates and tokens cost",
        "Processor time of one operation; 1 = a password's hash (Argon2id). Shorter is better.",
        sorted(bars, key=lambda bar: bar.value),
        unit=1,
    )
    head = ("what", "CPU, in password hashes", "CPU, µs", "bytes")
    return Finding("Proofs, certificates and tokens", _ABOUT, head, rows, charts=[chart])


def _timed(run: Callable[[], object]) -> Sample:
    begun, calls = time.process_time(), 0
    while (used := time.process_time() - begun) < _SHARE_SECONDS:
        run()
        calls += 1
    return {"cpu": used / calls * 1e6}


def _of_devices(kind: KeyKind) -> dict[str, _Operation]:
    """Return what a device does, and what the suite does with it."""
    key = DeviceKeys.make(kind).signing
    public, message = public_key_text(key.public_key()), _statement()
    signature, request = signature_of(key, message), _request(key)
    return {
        f"{kind}: keys made, as devices do": _Operation(lambda: DeviceKeys.make(kind)),
        f"{kind}: statement signed": _Operation(lambda: signature_of(key, message), _decoded(signature)),
        f"{kind}: signature checked": _Operation(lambda: is_signed(read_public_key(public), signature, message)),
        f"{kind}: signing request checked": _Operation(lambda: read_request(request, ()), len(request)),
    }


def _of_authorities(kind: KeyKind) -> dict[str, _Operation]:
    now, public = system_clock(), DeviceKeys.make(kind).public_key
    authority, user, device = new_authority(now, kind), new_id(), new_id()
    issued = authority.issue(user, device, public, now)
    revoked = [
        Revoked(authority.name, f"{number:040x}", RevocationReason.SUPERSEDED, now, now + timedelta(days=1))
        for number in range(1, _REVOKED + 1)
    ]
    return {
        f"{kind}: certificate issued": _Operation(lambda: authority.issue(user, device, public, now), len(issued.der)),
        f"{kind}: certificate checked": _Operation(lambda: _check(issued.der, authority)),
        f"{kind}: list of {_REVOKED:,} revoked ones signed": _Operation(
            lambda: revocation_list(authority, revoked, now), len(revocation_list(authority, revoked, now))
        ),
    }


def _check(der: bytes, authority: CertificateAuthority) -> None:
    x509.load_der_x509_certificate(der).verify_directly_issued_by(authority.certificate)


def _sealing() -> dict[str, _Operation]:
    pair = new_kem_key_pair()
    sealed = encrypt_challenge(pair.public, "an id", "a challenge" * 4)
    size = _decoded(sealed.ciphertext) + _decoded(sealed.box)
    return {
        "sntrup761: challenge sealed": _Operation(
            lambda: encrypt_challenge(pair.public, "an id", "a challenge" * 4), size
        ),
        "sntrup761: challenge opened": _Operation(lambda: decrypt_challenge(pair.private, "an id", sealed)),
    }


def _tokens() -> dict[str, _Operation]:
    now = system_clock()
    claims = Claims(new_id(), new_id(), new_id(), "alice", new_id(), now, now + timedelta(minutes=10))
    operations = {}
    for algorithm in (Algorithm.ES256, Algorithm.ML_DSA_44, Algorithm.ML_DSA_87):
        key = SingleKey(new_signing_key(algorithm))
        tokens = AccessTokens(key, _ISSUER, _ISSUER)
        token = tokens.sign(claims)
        operations[f"access token, {algorithm}: signed"] = _Operation(partial(tokens.sign, claims), len(token))
        operations[f"access token, {algorithm}: checked"] = _Operation(partial(_read_anew, key, token))
        operations[f"access token, {algorithm}: checked again"] = _Operation(partial(tokens.verify, token))
    prover = DpopProver(ec.generate_private_key(ec.SECP256R1()), lambda: AppAddresses(_ISSUER), _ISSUER)
    request = requests.Request("GET", f"{_ISSUER}/session/verify", auth=prover.auth("a token"))
    proof = request.prepare().headers["DPoP"]
    operations["DPoP proof, P-256: made, with its request"] = _Operation(request.prepare, len(proof))
    operations["DPoP proof, P-256: checked"] = _Operation(partial(read_proof, proof))
    return operations


def _read_anew(key: SingleKey, token: str) -> None:
    """Check a token where nothing is remembered of it."""
    AccessTokens(key, _ISSUER, _ISSUER).verify(token)


def _handed_out(folder: Path) -> Mapping[str, int]:
    """Return how long the other tokens are that a suite hands out."""
    client = app_for(App.ALL, build(read_settings(suite.settings_in(folder)), App.ALL, 8000)).test_client()
    person = {"username": "alice", "password": _PASSWORD}

    def answered(path: str, **more: str) -> Mapping[str, object]:
        answer: Mapping[str, object] = client.post(path, json={**person, **more}).get_json()
        return answer

    phone = answered("/registration/", email="alice@example.test", device_name="Phone")
    laptop = answered("/registration/", qr_code=str(phone["qr_code"]), device_name="Laptop")
    login = answered("/login", client_cert_fp=str(phone["client_cert_fp"]))
    takeover = answered("/login", client_cert_fp=str(laptop["client_cert_fp"]))["takeover"]
    assert isinstance(takeover, Mapping)  # noqa: S101 - the question has one
    texts = {
        "refresh token": login["refresh_token"],
        "takeover token, one session shown": takeover["token"],
        "QR code of a registration": phone["qr_code"],
    }
    return {name: len(str(text)) for name, text in texts.items()}


def _statement() -> bytes:
    return statement(Purpose.LOGIN, issuer=_ISSUER, user_uuid=new_id(), device_id=new_id(), challenge="c" * 43)


def _request(key: DevicePrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    digest = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM).decode()


def _decoded(text: str) -> int:
    return len(text.rstrip("=")) * 3 // 4
