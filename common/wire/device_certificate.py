"""Which device calls, as a body shows it: by its certificate, or by the certificate's fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from common.account.admission import DeviceProof
from common.account.devices import TlsClientCertificate
from common.crypto.certificates import fingerprint_of, read_certificate
from common.errors import Code, Refusal
from common.web.client_certificate import HEADER
from common.web.fields import Fingerprint, Opaque
from common.web.request_body import Body


class DeviceBody(Body, frozen=True, kw_only=True):
    """What shows which device calls: the certificate, or its fingerprint."""

    conditions: ClassVar[Mapping[str, object]] = {
        "properties": {
            "client_cert_fp": {
                "description": "The certificate: this or `client_cert`. Neither is needed where the certificate"
                " was shown over TLS, or where no device proof is demanded (ICHIDAI_DEVICE_PROOF=none)."
            },
            "client_cert": {"description": "Base64 of the certificate's DER, or its PEM."},
        }
    }

    client_cert_fp: Fingerprint | None = None
    client_cert: Opaque | None = None

    def fingerprint(self, proof: DeviceProof, tls_certificate: TlsClientCertificate | None = None) -> str | None:
        """Return the fingerprint; None only where no device proof is asked. What is shown twice must be the same.

        `tls_certificate`: the one that a proxy forwarded. Raises Refusal: MISSING_FIELDS, INVALID_REQUEST.
        """
        shown = {
            "client_cert": None if self.client_cert is None else self._computed(self.client_cert),
            HEADER: None if tls_certificate is None else tls_certificate.fingerprint,
            "client_cert_fp": self.client_cert_fp,
        }
        fingerprints = {fingerprint for fingerprint in shown.values() if fingerprint is not None}
        if len(fingerprints) > 1:
            named = [name for name, fingerprint in shown.items() if fingerprint is not None]
            problem = f"{' and '.join(named)} are not of one certificate"
            raise Refusal(Code.INVALID_REQUEST, problem=problem, field=named[-1])
        if not fingerprints and proof is not DeviceProof.NONE:
            raise Refusal(Code.MISSING_FIELDS, names="client_cert_fp", fields=["client_cert_fp"])
        return next(iter(fingerprints), None)

    @staticmethod
    def _computed(text: str) -> str:
        try:
            return fingerprint_of(read_certificate(text))
        except ValueError:
            raise Refusal(Code.INVALID_REQUEST, problem="client_cert is no certificate", field="client_cert") from None
