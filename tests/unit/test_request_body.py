"""Reading bodies: JSON and forms become exactly typed fields, and everything else a 4xx."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask, request
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge

from common.errors import Code, Refusal
from common.web.fields import LARGEST, DeviceName, Email, Fingerprint, Opaque, Username
from common.web.request_body import DEEPEST, NEVER_EMPTY, Body, idempotency_key, parse, read_fields
from common.wire.enrolment import PublicKeysBody
from common.wire.proof import ProofBody

APP = Flask(__name__)
APP.config.update(MAX_CONTENT_LENGTH=LARGEST, MAX_FORM_MEMORY_SIZE=LARGEST)
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Everything(Body, frozen=True, kw_only=True):
    """A body with a field of each kind."""

    username: Username | None = None
    email: Email | None = None
    device_name: DeviceName | None = None
    client_cert_fp: Fingerprint | None = None
    password: Opaque | None = None
    force: bool = False


class WithKeys(Body, frozen=True, kw_only=True):
    """A body of a device that may bring keys or a proof."""

    csr: Opaque | None = None
    public_keys: PublicKeysBody | None = None
    proof: ProofBody | None = None


class Needing(Body, frozen=True, kw_only=True):
    """A body with fields that must be there."""

    missing_variant = "registration"

    username: Username
    password: Opaque


def read(data: bytes | str, kind: str | None = JSON, *, forms: bool = False) -> dict[str, Any]:
    """Read the fields of a real request."""
    with APP.test_request_context("/", method="POST", data=data, content_type=kind):
        return dict(read_fields(request, forms=forms))


def refusal_of(data: bytes | str, kind: str | None = JSON, *, forms: bool = False) -> Code:
    """Return how a body is refused."""
    with pytest.raises(Refusal) as refused:
        read(data, kind, forms=forms)
    return refused.value.code


def outcome_of(data: bytes, kind: str, *, forms: bool) -> dict[str, Any] | Code:
    """Return the fields, or how the body is refused."""
    try:
        return read(data, kind, forms=forms)
    except Refusal as refusal:
        return refusal.code


def fault_of(**fields: Any) -> str | None:
    """Return which field a schema refuses, or None."""
    try:
        parse(Everything, fields)
    except Refusal as refusal:
        return str(refusal.extensions["field"]) if refusal.code is Code.INVALID_REQUEST else "not invalid"
    return None


class TestJson:
    """A JSON body."""

    def test_its_fields_are_read(self) -> None:
        """In any of JSON's media types, and as UTF-8."""
        for kind in (JSON, "application/json; charset=utf-8", "application/merge-patch+json"):
            assert read('{"a": "あ", "b": [1]}'.encode(), kind) == {"a": "あ", "b": [1]}

    def test_null_and_empty_count_as_absent(self) -> None:
        """As a form's empty field does."""
        assert read('{"a": null, "b": "", "c": 0, "d": false}') == {"c": 0, "d": False}

    @pytest.mark.parametrize("name", sorted(NEVER_EMPTY))
    @pytest.mark.parametrize("empty", ["null", '""', "{}"])
    def test_an_empty_key_or_proof_is_no_absent_one(self, name: str, empty: str) -> None:
        """It is refused where it means something, and ignored where it means nothing; in a form it is absent."""
        fields = read(f'{{"{name}": {empty}}}')
        with pytest.raises(Refusal) as refused:
            parse(WithKeys, fields)
        assert (refused.value.code, refused.value.extensions["field"]) == (Code.INVALID_REQUEST, name)
        assert parse(Everything, fields) == Everything()
        assert parse(WithKeys, read(f"{name}=", FORM, forms=True)) == WithKeys()

    @pytest.mark.requirement("R34")
    @pytest.mark.regression("X46", "X93")
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"{", id="half an object"),
            pytest.param(b"{'a': 1}", id="Python"),
            pytest.param(b"[]", id="a list"),
            pytest.param(b'"text"', id="a text"),
            pytest.param(b"null", id="null"),
            pytest.param(b"{} {}", id="two objects"),
            pytest.param(b'{"a": NaN}', id="NaN"),
            pytest.param(b'{"a": -Infinity}', id="infinity"),
            pytest.param(b'{"a": 1e999}', id="a number beyond all bounds"),
            pytest.param(b'{"a": ' + b"1" * 5000 + b"}", id="a number of 5,000 digits"),
            pytest.param(b'{"a": "\\ud800"}', id="half a surrogate pair"),
            pytest.param(b'{"\\udfff": 1}', id="half a surrogate pair in a key"),
            pytest.param(b'{"a": "\xff"}', id="no UTF-8"),
            pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
            pytest.param(b'\xef\xbb\xbf{"a": 1}', id="a byte order mark"),
            pytest.param(b'{"a": 1, "a": 1}', id="a key twice"),
            pytest.param(b'{"a": 1, "\\u0061": 2}', id="a key twice in two spellings"),
            pytest.param(b'{"a": {"b": 1, "b": 2}}', id="a key twice further in"),
            pytest.param(b'{"a": "\n"}', id="a bare newline in a text"),
            pytest.param(b'{"a":' * 30 + b"1" + b"}" * 30, id="30 deep"),
            pytest.param(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", id="30,000 deep"),
            pytest.param(b"[" * 60_000, id="60,000 open brackets"),
        ],
    )
    def test_what_is_no_good_json_object_is_invalid(self, data: bytes) -> None:
        """A 400 for each, never a 500."""
        assert refusal_of(data) is Code.INVALID_REQUEST

    def test_the_bound_on_nesting_is_exact(self) -> None:
        """The object itself is the first level."""
        within = '{"a": ' + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1) + "}"
        beyond = '{"a": ' + "[" * DEEPEST + "]" * DEEPEST + "}"
        assert read(within).keys() == {"a"}
        assert refusal_of(beyond) is Code.INVALID_REQUEST

    @pytest.mark.parametrize("kind", ["text/plain", "application/xml", "text/json", None, FORM])
    def test_another_media_type_is_unsupported(self, kind: str | None) -> None:
        """Forms too, where the route does not take them."""
        assert refusal_of('{"a": 1}', kind) is Code.UNSUPPORTED_MEDIA_TYPE

    def test_more_than_64_kib_is_too_large(self) -> None:
        """By the framework's own bound."""
        assert read('{"a": "%s"}' % ("x" * (LARGEST - 20))).keys() == {"a"}
        with pytest.raises(RequestEntityTooLarge):
            read("x" * (LARGEST + 1))

    @given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
    @example(b'{"a":1e400}')
    def test_any_bytes_are_fields_or_refused(self, data: bytes) -> None:
        """Nothing else comes out."""
        outcome = outcome_of(data, JSON, forms=False)
        assert outcome is Code.INVALID_REQUEST or isinstance(outcome, dict)

    _json = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=10,
    )

    @given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), _json, max_size=5))
    def test_any_object_is_read_as_it_was_sent(self, fields: dict[str, Any]) -> None:
        """But for what is null or empty, unless an empty one says something."""
        sent = json.dumps(fields, ensure_ascii=False).encode()
        if max(map(sent.count, (b"[", b"{"))) > DEEPEST:
            return
        assert read(sent) == {
            name: value for name, value in fields.items() if value not in (None, "") or name in NEVER_EMPTY
        }


class TestForms:
    """An HTML form, where a route takes one."""

    def test_its_fields_are_texts(self) -> None:
        """An empty one counts as absent; numbers stay text."""
        assert read(urlencode({"a": "あ", "b": "", "n": "5"}), FORM, forms=True) == {"a": "あ", "n": "5"}

    @pytest.mark.regression("X12")
    @pytest.mark.parametrize(
        ("word", "value"), [("true", True), ("false", False), ("TRUE", "TRUE"), ("1", "1"), ("on", "on")]
    )
    def test_the_words_true_and_false_stand_for_the_values(self, word: str, value: object) -> None:
        """Only for the fields that are truth values; any other word stays a text, which the schema refuses."""
        fields = read(urlencode({"force": word, "password": word}), FORM, forms=True)
        assert fields == {"force": value, "password": word}

    def test_a_field_twice_is_invalid(self) -> None:
        """As a key twice is in JSON."""
        assert refusal_of("a=1&a=2", FORM, forms=True) is Code.INVALID_REQUEST

    def test_a_route_that_takes_forms_takes_json_too(self) -> None:
        """By its media type."""
        assert read('{"a": 1}', JSON, forms=True) == {"a": 1}

    def test_a_multipart_form_is_a_form(self) -> None:
        """Files in it are not looked at."""
        part = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
        assert read(part, "multipart/form-data; boundary=x", forms=True) == {"a": "1"}

    @given(st.binary(max_size=200))
    def test_any_bytes_are_fields_or_refused(self, data: bytes) -> None:
        """Nothing else comes out."""
        outcome = outcome_of(data, FORM, forms=True)
        assert outcome is Code.INVALID_REQUEST or isinstance(outcome, dict)


class TestSchemas:
    """Fields we know have exactly their type; others are ignored."""

    @pytest.mark.regression("X75")
    def test_unknown_fields_are_dropped(self) -> None:
        """Nothing that we did not ask for goes any further."""
        body = parse(Everything, {"username": "anna", "password_hash": "x", "uuid": "y"})
        assert not hasattr(body, "password_hash")
        assert body.username == "anna"

    @pytest.mark.regression("X12")
    @pytest.mark.parametrize("value", ["false", "true", 0, 1, "", [], {}])
    def test_a_truth_value_is_one(self, value: object) -> None:
        """`"false"` is no false."""
        assert fault_of(force=value) == "force"

    @pytest.mark.parametrize("field", ["username", "email", "device_name", "client_cert_fp", "password"])
    @pytest.mark.parametrize("value", [5, True, ["anna"], {"a": 1}, 1.5])
    def test_a_text_is_one(self, field: str, value: object) -> None:
        """A number is not made one."""
        assert fault_of(**{field: value}) == field

    @pytest.mark.parametrize(
        ("field", "good", "bad"),
        [
            (
                "username",
                ["a", "x" * 64, "安 奈", "👩‍💻", " anna "],
                ["", " ", "x" * 65, "a\nb", "a\0b", "a\x7fb", "a\x85b"],
            ),
            ("device_name", ["Phone", "x" * 64, "<script>"], [" ", "x" * 65, "a\tb", "\x1b[31m"]),
            (
                "email",
                ["a@b", "anna@例え.test", "x" * 252 + "@b", "a b@c", "anna@host.test"],
                ["@", "a@", "@b", "a", "a@b@c", " @ ", "x" * 253 + "@b", "a\r\nBcc: x@y", "a@b\0"],
            ),
            (
                "client_cert_fp",
                ["0123456789abcdef" * 4, "A" * 64, "0A:" * 31 + "bc"],
                ["0" * 63, "0" * 65, "g" * 64, "01:" * 21 + "0", " " + "0" * 63, "0:" * 63 + "0", "01:" * 32, "٣" * 64],
            ),
            ("password", [" ", "\0", "x" * 1025], []),
        ],
    )
    @pytest.mark.regression("X45")
    def test_each_field_has_its_bounds(self, field: str, good: list[str], bad: list[str]) -> None:
        """As the wire contract tells them; a password is judged elsewhere."""
        assert [value for value in good if fault_of(**{field: value})] == []
        assert [value for value in bad if not fault_of(**{field: value})] == []

    def test_space_around_a_name_is_no_part_of_it(self) -> None:
        """A password keeps its own."""
        body = parse(Everything, {"username": " anna\t", "email": " a@b ", "password": " x "})
        assert (body.username, body.email, body.password) == ("anna", "a@b", " x ")

    def test_a_fingerprint_is_read_however_it_was_written(self) -> None:
        """With capitals and colons, as other programs show it; it is compared in one form."""
        written = ["0a1b" * 16, "0A1B" * 16, ":".join(["0A", "1b"] * 16), f" {'0a1b' * 16}\n"]
        assert {parse(Everything, {"client_cert_fp": each}).client_cert_fp for each in written} == {"0a1b" * 16}

    def test_all_that_is_missing_is_named_together(self) -> None:
        """With the text of that body."""
        with pytest.raises(Refusal) as refused:
            parse(Needing, {})
        assert refused.value.code is Code.MISSING_FIELDS
        assert refused.value.extensions["fields"] == ["username", "password"]
        assert refused.value.extensions["variant"] == "registration"

    def test_what_is_missing_is_told_before_what_is_wrong(self) -> None:
        """Both are wrong here."""
        with pytest.raises(Refusal) as refused:
            parse(Needing, {"username": 5})
        assert refused.value.extensions["fields"] == ["password"]

    @pytest.mark.parametrize("value", ["hunter2\0", 5, "x" * 65])
    def test_a_refusal_never_quotes_what_was_sent(self, value: object) -> None:
        """It may be a secret in the wrong field."""
        with pytest.raises(Refusal) as refused:
            parse(Everything, {"username": value})
        assert str(value) not in str(refused.value.extensions["problem"])

    def test_a_body_cannot_be_changed(self) -> None:
        """It is a value."""
        body = parse(Everything, {"username": "anna"})
        with pytest.raises(AttributeError):
            body.username = "bert"


class TestIdempotencyKey:
    """The header by which a registration may be repeated."""

    @pytest.mark.parametrize("key", [None, "x", "x" * 255, '"quoted"'])
    def test_up_to_255_printable_characters_will_do(self, key: str | None) -> None:
        """Or none at all."""
        headers = {} if key is None else {"Idempotency-Key": key}
        with APP.test_request_context("/", headers=headers):
            assert idempotency_key(request) == key

    @pytest.mark.parametrize("key", ["", "x" * 256, "\xe9", "a\tb"])
    def test_anything_else_is_invalid(self, key: str) -> None:
        """Rather than cut or changed."""
        with APP.test_request_context("/", headers={"Idempotency-Key": key}), pytest.raises(Refusal) as refused:
            idempotency_key(request)
        assert refused.value.code is Code.INVALID_REQUEST
