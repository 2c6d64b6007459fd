"""Kinds of values in answers: what the OpenAPI document says of them. Nothing is checked by these types."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Url = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
Base64 = Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})]
Sha256Hex = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]
Seconds = Annotated[int, Meta(description="Seconds.")]
