"""A session's life over HTTP: verified, refreshed, ended, listed, told of; and every token that is none of ours."""

from __future__ import annotations

import base64
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.client import Account, Client, Login, all_at_once, bearer, granted, login_of, refused
from tests.support.servers import Suite, until

Pool = Callable[..., Suite]


def ended(client: Client, session: Login) -> str | None:
    """Return why a session has ended, or None while it is live; a look that counts as no activity."""
    reply = client.get("/session/list", token=session.access)
    return None if reply.status_code == 200 else refused(reply, 401, "session-ended")["reason"]


# --- Verified ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("B14", "B28", "R21")
@pytest.mark.regression("Y02", "X66", "X67")
def test_verification_names_whose_it_is(client: Client) -> None:
    """In the body and, for a proxy, in headers; times are aware UTC, and never cached."""
    account = client.register()
    session = account.login()
    reply = client.verify(session.access)
    body = granted(reply)
    assert (body["active"], body["username"]) == (True, account.username)
    named = (body["user_uuid"], body["session_id"], body["device_id"])
    assert named == (account.uuid, session.session_id, account.phone.device_id)
    assert named == tuple(reply.headers[name] for name in ("X-User-Uuid", "X-Session-Id", "X-Device-Id"))
    assert body["login_at"] == session.answer["login_at"]
    login_at, expires_at = (datetime.fromisoformat(body[name]) for name in ("login_at", "expires_at"))
    assert login_at.utcoffset() == timedelta(0)
    assert expires_at - login_at == timedelta(days=30)
    assert reply.headers["Cache-Control"] == "no-store"


def test_a_callers_own_headers_are_not_believed(client: Client) -> None:
    """Who sends `X-User-Uuid` gets the true one back, or 401."""
    account, stranger = client.register(), client.register()
    session = account.login()
    claimed = {"X-User-Uuid": stranger.uuid, "X-Session-Id": "x", **bearer(session.access)}
    reply = client.get("/session/verify", headers=claimed)
    assert reply.headers["X-User-Uuid"] == account.uuid
    refused(client.get("/session/verify", headers={"X-User-Uuid": account.uuid}), 401, "token-missing")


@pytest.mark.requirement("D28", "D24")
@pytest.mark.regression("X66", "X65", "Y02")
def test_our_tokens_verify_with_the_public_keys(client: Client) -> None:
    """ES256 under a named key, with the claims that were promised; the key set holds no private part."""
    account = client.register()
    session = account.login()
    issuer = client.get("/.well-known/ichidai.json").json()["issuer"]
    document = client.get("/.well-known/jwks.json").json()
    assert all("d" not in key for key in document["keys"])
    key = jwt.PyJWKSet.from_dict(document)[jwt.get_unverified_header(session.access)["kid"]]
    claims = jwt.decode(session.access, key, algorithms=["ES256"], issuer=issuer, audience=issuer)
    assert jwt.get_unverified_header(session.access) == {"alg": "ES256", "typ": "at+jwt", "kid": key.key_id}
    assert (claims["sub"], claims["sid"], claims["device_id"]) == (account.uuid, session.session_id, session.device_id)
    assert claims["preferred_username"] == account.username
    assert uuid.UUID(claims["jti"])
    assert claims["exp"] - claims["iat"] == session.answer["expires_in"] == 600
    assert "cnf" not in claims


def test_discovery_tells_how_the_limit_is_set(pool: Pool) -> None:
    """Issuer, mode, limit, proof, and where everything is."""
    client = pool(ICHIDAI_CONCURRENCY_MODE="evict", MAX_CONCURRENT_DEVICES="2").client
    about = client.get("/.well-known/ichidai.json").json()
    assert (about["concurrency_mode"], about["max_concurrent_devices"], about["device_proof"]) == (
        "evict",
        2,
        "fingerprint",
    )
    urls = [url for name, url in about.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(urls) >= 9
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    assert client.call("GET", about["jwks_uri"]).json()["keys"]
    bent = client.get("/.well-known/ichidai.json", headers={"Host": "evil.test"})
    assert bent.json() == about


def test_every_url_follows_the_public_url(pool: Pool) -> None:
    """Behind a proxy the suite has one address, which is a setting."""
    client = pool(ICHIDAI_PUBLIC_URL="https://accounts.test/in").client
    account = client.register()
    laptop = account.pair()
    account.login()
    assert account.question(laptop)["takeover"]["url"] == "https://accounts.test/in/login/takeover"
    about = client.get("/.well-known/ichidai.json").json()
    assert about["verify_endpoint"] == "https://accounts.test/in/session/verify"


# --- Refreshed ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("B38")
@pytest.mark.regression("Y03", "Y02", "X18")
def test_refreshing_rotates_the_tokens_of_the_same_session(client: Client) -> None:
    """A new pair each time; the session, its login and its device stay, and the newer access token is good too."""
    account = client.register()
    session = account.login()
    refresh_token, seen = session.refresh, {session.refresh}
    for _ in range(3):
        answer = granted(client.refresh(refresh_token))
        assert answer["session_id"] == session.session_id
        assert answer["login_at"] == session.answer["login_at"]
        assert "evicted" not in answer
        assert answer["refresh_token"] not in seen
        assert granted(client.verify(answer["access_token"]))["session_id"] == session.session_id
        refresh_token = answer["refresh_token"]
        seen.add(refresh_token)
    granted(client.verify(session.access))


def test_the_previous_refresh_token_has_the_same_successor_for_a_moment(client: Client) -> None:
    """A lost answer ends nobody: asked again within the grace, the same refresh token comes out."""
    session = client.register().login()
    first = granted(client.refresh(session.refresh))
    again = granted(client.refresh(session.refresh))
    assert again["refresh_token"] == first["refresh_token"]
    granted(client.refresh(again["refresh_token"]))


def test_an_older_refresh_token_ends_the_session(client: Client) -> None:
    """Somebody else has it: everything of the session is dead, and both are told why."""
    account = client.register()
    session = account.login()
    second = granted(client.refresh(session.refresh))
    third = granted(client.refresh(second["refresh_token"]))
    assert refused(client.refresh(session.refresh), 401, "session-ended")["reason"] == "refresh-reused"
    for token in (second["refresh_token"], third["refresh_token"], session.refresh):
        assert refused(client.refresh(token), 401, "session-ended")["reason"] == "refresh-reused"
    for token in (session.access, third["access_token"]):
        assert refused(client.verify(token), 401, "session-ended")["reason"] == "refresh-reused"
    account.login()


@pytest.mark.regression("X05", "X35")
def test_sixteen_refreshes_of_one_token_at_once_are_one_chain(pool: Pool) -> None:
    """With two processes: all get the same successor, which goes on; no second chain comes to be."""
    client = pool(workers=2).client
    session = client.register().login()
    replies = all_at_once([partial(client.refresh, session.refresh)] * 16)
    answers = [granted(reply) for reply in replies]
    assert len({answer["refresh_token"] for answer in answers}) == 1
    assert {answer["session_id"] for answer in answers} == {session.session_id}
    granted(client.refresh(answers[0]["refresh_token"]))


def test_a_refresh_in_flight_never_outlives_the_takeover(pool: Pool) -> None:
    """Refreshes and a forced login at once: after the login no token of the old session is good."""
    client = pool(workers=2).client
    account = client.register()
    laptop, session = account.pair(), account.login()
    forced = partial(account.try_login, laptop, force=True)
    *replies, taken = all_at_once([*[partial(client.refresh, session.refresh)] * 8, forced])
    login_of(taken)
    for reply in replies:
        if reply.status_code == 200:
            refused(client.verify(reply.json()["access_token"]), 401, "session-ended")
            refused(client.refresh(reply.json()["refresh_token"]), 401, "session-ended")


@pytest.mark.parametrize("how", ["access", "takeover", "junk", "cut", "swapped", "NUL", "long"])
def test_what_is_no_refresh_token_is_refused(client: Client, how: str) -> None:
    """Only our own, whole, and made for refreshing; nothing ends by it."""
    account = client.register()
    laptop, session = account.pair(), account.login()
    other = client.register().login()
    texts = {
        "access": session.access,
        "takeover": account.question(laptop)["takeover"]["token"],
        "junk": "junk",
        "cut": session.refresh[:-2],
        "swapped": f"{other.refresh.rpartition('.')[0]}.{session.refresh.rpartition('.')[2]}",
        "NUL": "\x00",
        "long": "A" * 60_000,
    }
    refused(client.refresh(texts[how]), 401, "invalid-token")
    granted(client.verify(session.access))


# --- Ended -------------------------------------------------------------------------------------------------------


@pytest.mark.regression("X72", "X18")
def test_logout_ends_the_session_for_good(client: Client) -> None:
    """Access and refresh token are refused from then on; again is harmless; a newer session is not touched."""
    account = client.register()
    session = account.login()
    granted(client.post("/session/logout", token=session.access))
    granted(client.post("/session/logout", token=session.access))
    assert refused(client.verify(session.access), 401, "session-ended")["reason"] == "logged-out"
    assert refused(client.refresh(session.refresh), 401, "session-ended")["reason"] == "logged-out"
    newer = account.login()
    granted(client.post("/session/logout", token=session.access))
    granted(client.verify(newer.access))
    refused(client.post("/session/logout"), 401, "token-missing")
    refused(client.post("/session/logout", token="junk"), 401, "invalid-token")
    refused(client.post("/session/logout", token=newer.refresh), 401, "invalid-token")


@pytest.mark.requirement("B41")
class TestTime:
    """What runs out: tokens, idle sessions, long ones."""

    def test_an_expired_token_is_told_from_an_ended_session(self, pool: Pool) -> None:
        """`token-expired` while the session lives, which a refresh mends; `session-ended` when it does not."""
        client = pool(ICHIDAI_ACCESS_TOKEN_SECONDS="1").client
        account = client.register()
        laptop, session = account.pair(), account.login()
        until(lambda: client.verify(session.access).status_code == 401, "the access token expires")
        refused(client.verify(session.access), 401, "token-expired")
        refused(client.get("/device/list", token=session.access), 401, "token-expired")
        assert granted(client.refresh(session.refresh))["session_id"] == session.session_id
        account.login(laptop, force=True)
        assert refused(client.verify(session.access), 401, "session-ended")["reason"] == "forced-out"

    def test_an_expired_token_still_logs_out(self, pool: Pool) -> None:
        """Whoever leaves late leaves all the same."""
        client = pool(ICHIDAI_ACCESS_TOKEN_SECONDS="1").client
        session = client.register().login()
        until(lambda: client.verify(session.access).status_code == 401, "the access token expires")
        granted(client.post("/session/logout", token=session.access))
        assert refused(client.refresh(session.refresh), 401, "session-ended")["reason"] == "logged-out"

    def test_an_idle_session_ends_by_itself(self, pool: Pool) -> None:
        """Lists, histories and refreshes are no activity; the place is free for a candidate, without a question."""
        suite = pool(ICHIDAI_IDLE_SECONDS="2")
        client = suite.client
        account = client.register()
        laptop, session = account.pair(), account.login()
        tokens = [session.refresh]

        def idle() -> bool:
            reply = client.refresh(tokens[-1])
            if reply.status_code == 200:
                tokens.append(reply.json()["refresh_token"])
            client.get("/session/history", token=session.access)
            client.get("/device/list", token=session.access)
            return ended(client, session) == "expired"

        until(idle, "the session is idle for too long")
        assert refused(client.refresh(tokens[-1]), 401, "session-ended")["reason"] == "expired"
        candidate = account.login(laptop)
        assert candidate.answer["evicted"] == []
        assert refused(client.verify(session.access), 401, "session-ended")["reason"] == "expired"

    def test_a_verification_is_activity_and_a_list_is_none(self, pool: Pool) -> None:
        """The time of the last activity moves with the one and stands still with the others."""
        client = pool(ICHIDAI_IDLE_SECONDS="20").client  # so activity is written down every two seconds
        session = client.register().login()
        begun = last_seen(client, session)
        until(lambda: client.verify(session.access) and last_seen(client, session) > begun, "activity is written down")
        moved = last_seen(client, session)
        deadline = moved + timedelta(seconds=3)
        until(lambda: still_at(client, session, moved) and datetime.now(UTC) > deadline, "three seconds of lists")

    def test_a_session_ends_at_its_end_whatever_its_activity(self, pool: Pool) -> None:
        """Verified all the time, it is over when its own time is."""
        client = pool(ICHIDAI_SESSION_SECONDS="2").client
        account = client.register()
        laptop, session = account.pair(), account.login()
        until(lambda: client.verify(session.access).status_code == 401, "the session is over")
        assert ended(client, session) == "expired"
        assert refused(client.refresh(session.refresh), 401, "session-ended")["reason"] == "expired"
        assert account.login(laptop).answer["evicted"] == []

    def test_an_expiry_is_dated_at_its_deadline(self, pool: Pool) -> None:
        """In the history it stands when the time was over (and the tenth beside it), not when somebody noticed."""
        suite = pool(ICHIDAI_IDLE_SECONDS="2")
        client = suite.client
        account = client.register()
        session = account.login()
        until(lambda: ended(client, session) is not None, "the session is idle for too long")
        account.login()
        events = [
            event
            for (table, partition, _), item in suite.rows().items()
            if (table, partition) == ("LoginHistory", account.uuid)
            for event in json.loads(item)["events"]
        ]
        (expired,) = [event for event in events if event.get("reason") == "expired"]
        deadline = datetime.fromisoformat(session.answer["login_at"]) + timedelta(seconds=2.2)
        assert datetime.fromtimestamp(expired["at"] / 1000, UTC) == deadline


def last_seen(client: Client, session: Login) -> datetime:
    """Return when a session was last active, by a look that is no activity."""
    (listed,) = granted(client.get("/session/list", token=session.access))["sessions"]
    return datetime.fromisoformat(listed["last_seen_at"])


def still_at(client: Client, session: Login, moment: datetime) -> bool:
    """Look at all that is no activity, and check that none was noted."""
    for path in ("/session/list", "/session/history", "/device/list"):
        granted(client.get(path, token=session.access))
    assert last_seen(client, session) == moment
    return True


# --- Listed, revoked, told of ------------------------------------------------------------------------------------


@pytest.mark.requirement("D23", "D46")
@pytest.mark.regression("X01", "X15")
def test_list_and_revoke(pool: Pool) -> None:
    """Somebody with three sessions sees them, earliest first, and ends one of them, and then the own one."""
    client = pool(MAX_CONCURRENT_DEVICES="3").client
    account, stranger = client.register(), client.register()
    stranger.login()
    devices = [account.phone, account.pair("Laptop"), account.pair("Tablet")]
    sessions = [account.login(device) for device in devices]
    listed = granted(client.get("/session/list", token=sessions[1].access))["sessions"]
    assert [each["session_id"] for each in listed] == [each.session_id for each in sessions]
    assert [each["device_name"] for each in listed] == ["Phone", "Laptop", "Tablet"]
    assert [each["current"] for each in listed] == [False, True, False]
    granted(client.post("/session/revoke", {"session_id": sessions[0].session_id}, token=sessions[1].access))
    assert ended(client, sessions[0]) == "revoked"
    granted(client.post("/session/revoke", {"session_id": sessions[1].session_id}, token=sessions[1].access))
    assert ended(client, sessions[1]) == "logged-out"
    assert ended(client, sessions[2]) is None


@pytest.mark.requirement("B42", "B12")
@pytest.mark.regression("X20", "X68", "X19", "X23")
def test_the_history_tells_everything_once_and_in_order(client: Client) -> None:
    """Each change with its kind, reason, device, address and agent, newest first, without gaps."""
    account = client.register()
    laptop, first = account.pair("Laptop"), account.login()
    taken = login_of(account.take_over(account.question(laptop), laptop))
    granted(client.post("/session/logout", token=taken.access))
    agent = {"User-Agent": "Teller/1.0"}
    form = {**account.credentials, **account.phone.proof}
    last = login_of(client.post("/login", form, headers=agent))
    events = granted(client.get("/session/history", token=last.access))["events"]
    told = [(event["kind"], event.get("reason"), event["device_name"]) for event in reversed(events)]
    assert told == [
        ("registered", None, None),
        ("device-added", None, "Phone"),
        ("device-added", None, "Laptop"),
        ("login", None, "Phone"),
        ("session-ended", "taken-over", "Phone"),
        ("login", None, "Laptop"),
        ("session-ended", "logged-out", "Laptop"),
        ("login", None, "Phone"),
    ]
    numbers = [event["change_no"] for event in events]
    assert sorted(set(numbers), reverse=True) == list(range(numbers[0], 0, -1))
    assert {event["ip"] for event in events} == {"127.0.0.1"}
    assert events[0]["user_agent"] == "Teller/1.0"
    sessions = [event["session_id"] for event in reversed(events) if "session_id" in event]
    assert sessions == [each.session_id for each in (first, first, taken, taken, last)]


@pytest.mark.requirement("B42")
@pytest.mark.regression("X19", "X78")
def test_the_history_comes_in_pages(client: Client) -> None:
    """However it is cut, all pages together are the whole."""
    account = client.register()
    *_, session = [account.login() for _ in range(8)]
    whole = granted(client.get("/session/history?limit=100", token=session.access))
    assert whole["events"]
    assert "next_before" not in whole
    for limit in (1, 2, 3, 9, 10):
        assert [*pages(client, session, limit)] == whole["events"]


def pages(client: Client, session: Login, limit: int) -> Iterator[Any]:
    """Yield the events of a history, page by page."""
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = granted(client.get("/session/history", token=session.access, params=query))
        assert len({event["change_no"] for event in page["events"]}) <= limit
        yield from page["events"]
        if "next_before" not in page:
            return
        query["before"] = page["next_before"]


@pytest.mark.regression("X22")
def test_markup_and_control_characters_of_an_agent_do_no_harm(client: Client) -> None:
    """An agent's text is kept short, as text, without control characters."""
    account = client.register()
    form = {**account.credentials, **account.phone.proof}
    agent = "<script>alert(1)</script>\t" + "x" * 5000
    session = login_of(client.post("/login", form, headers={"User-Agent": agent}))
    event = granted(client.get("/session/history", token=session.access))["events"][0]
    assert event["user_agent"].startswith("<script>alert(1)</script>x")
    assert len(event["user_agent"]) <= 200


# --- Tokens that are none of ours --------------------------------------------------------------------------------


def b64(value: object) -> str:
    """Return JSON, or bytes, as a part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forge:
    """Makes tokens that look like a good one. It knows all that is public: the good token and the public key."""

    def __init__(self, good: str, keys: Mapping[str, Any], own: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.good = good
        self.header = jwt.get_unverified_header(good)
        self.claims = jwt.decode(good, options={"verify_signature": False})
        self.jwk = keys["keys"][0]
        self.own = own or ec.generate_private_key(ec.SECP256R1())
        self.public = jwt.PyJWK(self.jwk).key

    def pem(self) -> bytes:
        """Return the server's public key as PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem: bytes = self.public.public_bytes(serialization.Encoding.PEM, form)
        return pem

    def resigned(self, *, header: Mapping[str, Any] | None = None, **claims: object) -> str:
        """Return a token with other claims and headers, signed with the forger's own key under the server's key id."""
        headers = {**self.header, **(header or {})}
        payload = {name: value for name, value in {**self.claims, **claims}.items() if value is not ...}
        signed = f"{b64(headers)}.{b64(payload)}"
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        return f"{signed}.{b64(algorithm.sign(signed.encode(), self.own))}"

    def kept_signature(self, header: Mapping[str, Any] | None = None, **claims: object) -> str:
        """Return a token with other claims or headers and the good one's signature."""
        _, _, signature = self.good.split(".")
        return f"{b64({**self.header, **(header or {})})}.{b64({**self.claims, **claims})}.{signature}"

    def all(self) -> dict[str, str]:
        """Return every forgery by name."""
        head, payload, signature = self.good.split(".")
        return {
            **self._of_algorithms(payload),
            **self._of_headers(),
            **self._of_claims(),
            **self._of_signatures(head, payload, signature),
            **self._of_form(head, payload, signature),
        }

    def _of_algorithms(self, payload: str) -> dict[str, str]:
        rsa_key = rsa.generate_private_key(65_537, 2048)
        secrets = {
            "PEM": self.pem(),
            "JWK": json.dumps(self.jwk).encode(),
            "kid": self.jwk["kid"].encode(),
            "empty": b"",
        }
        forged = {
            f"alg {alg!r}": f"{b64({**self.header, 'alg': alg})}.{payload}."
            for alg in ("none", "None", "NONE", "nOnE", "", None, 0, "ES256 ", "es256")
        }
        for name, secret in secrets.items():
            for alg in ("HS256", "HS512"):
                signed = f"{b64({**self.header, 'alg': alg})}.{payload}"
                hashed = jwt.algorithms.HMACAlgorithm(getattr(jwt.algorithms.HMACAlgorithm, f"SHA{alg[2:]}"))
                forged[f"{alg} with the {name}"] = f"{signed}.{b64(hashed.sign(signed.encode(), secret))}"
        signed = f"{b64({**self.header, 'alg': 'RS256'})}.{payload}"
        hashed_rsa = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        forged["RS256"] = f"{signed}.{b64(hashed_rsa.sign(signed.encode(), rsa_key))}"
        for alg in ("ES384", "ES512", "ES256K", "PS256", "EdDSA"):
            forged[f"{alg} by name"] = self.resigned(header={"alg": alg})
        return forged

    def _of_headers(self) -> dict[str, str]:
        mine = jwt.algorithms.ECAlgorithm.to_jwk(self.own.public_key(), as_dict=True)
        odd: dict[str, Mapping[str, Any]] = {
            "own key": {},
            "jwk": {"jwk": {**mine, "kid": "mine"}},
            "jku": {"jku": "http://127.0.0.1:9/jwks.json"},
            "x5u": {"x5u": "http://127.0.0.1:9/cert.pem"},
            "x5c": {"x5c": ["MIIB"]},
            "crit": {"crit": ["exp"]},
            "b64": {"b64": False, "crit": ["b64"]},
            "cty": {"cty": "JWT"},
            "zip": {"zip": "DEF"},
            "typ JWT": {"typ": "JWT"},
            "typ in capitals": {"typ": "AT+JWT"},
            "typ refresh": {"typ": "refresh"},
            "typ a list": {"typ": ["at+jwt"]},
            "kid a path": {"kid": "../../../../dev/null"},
            "kid SQL": {"kid": "x' UNION SELECT 'key"},
            "kid URL": {"kid": "http://127.0.0.1:9/key"},
            "kid empty": {"kid": ""},
            "kid null": {"kid": None},
            "kid a list": {"kid": [self.header["kid"]]},
            "kid long": {"kid": "x" * 3000},
        }
        own = {f"own key, {name}": self.resigned(header=header) for name, header in odd.items()}
        kept = {f"kept signature, {name}": self.kept_signature(header) for name, header in odd.items() if header}
        without = {
            "no kid": {k: v for k, v in self.header.items() if k != "kid"},
            "no typ": {"alg": "ES256"},
            "empty": {},
        }
        rest = self.good.partition(".")[2]
        return own | kept | {f"header {name}": f"{b64(header)}.{rest}" for name, header in without.items()}

    def _of_claims(self) -> dict[str, str]:
        odd: dict[str, dict[str, object]] = {
            "another subject": {"sub": str(uuid.uuid4())},
            "another session": {"sid": str(uuid.uuid4())},
            "another device": {"device_id": str(uuid.uuid4())},
            "another issuer": {"iss": "https://evil.test"},
            "another audience": {"aud": "https://evil.test"},
            "a list of audiences": {"aud": [self.claims["aud"], "https://evil.test"]},
            "exp far": {"exp": 99_999_999_999},
            "exp text": {"exp": "never"},
            "exp NaN": {"exp": float("nan")},
            "exp Infinity": {"exp": float("inf")},
            "exp huge": {"exp": 10**30},
            "exp true": {"exp": True},
            "iat text": {"iat": "now"},
            "nbf far": {"nbf": 99_999_999_999},
            "sub a number": {"sub": 1},
            "sub a list": {"sub": [self.claims["sub"]]},
            "sub null": {"sub": None},
            **{f"no {name}": {name: ...} for name in self.claims},
        }
        own = {f"own key, {name}": self.resigned(**claims) for name, claims in odd.items()}
        kept = {
            f"kept signature, {name}": self.kept_signature(None, **c)
            for name, c in odd.items()
            if ... not in c.values()
        }
        return own | kept

    def _of_signatures(self, head: str, payload: str, signature: str) -> dict[str, str]:
        raw = base64.urlsafe_b64decode(signature + "==")
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        signatures = {
            "none": b"",
            "r = s = 0": bytes(64),
            "r = s = 1": (1).to_bytes(32) * 2,
            "r = s = n": order.to_bytes(32) * 2,
            "all ones": b"\xff" * 64,
            "r and s swapped": raw[32:] + raw[:32],
            "one byte short": raw[:-1],
            "one byte more": raw + b"\x00",
            "first bit": bytes([raw[0] ^ 0x80]) + raw[1:],
            "last bit": raw[:-1] + bytes([raw[-1] ^ 1]),
        }
        return {f"signature {name}": f"{head}.{payload}.{b64(each)}" for name, each in signatures.items()}

    def _of_form(self, head: str, payload: str, signature: str) -> dict[str, str]:
        spare = chr(ord(signature[-1]) ^ 1)
        twice = json.dumps(self.header)[:-1].encode() + b', "alg": "none"}'
        return {
            "two parts": f"{head}.{payload}",
            "four parts": f"{self.good}.{signature}",
            "parts swapped": f"{payload}.{head}.{signature}",
            "a dot in front": f".{self.good}",
            "padded": f"{self.good}==",
            "another spelling of the last letter": f"{self.good[:-1]}{spare}",
            "a space inside": f"{head} .{payload}.{signature}",
            "twice": f"{self.good},{self.good}",
            "in quotes": f'"{self.good}"',
            "nested": f"{b64(self.header)}.{b64(self.good.encode())}.{signature}",
            "JSON": json.dumps({"protected": head, "payload": payload, "signature": signature}),
            "only dots": "..",
            "long": f"{head}.{payload}.{'A' * 8000}",
            "payload a list": f"{head}.{b64([self.claims])}.{signature}",
            "payload a text": f"{head}.{b64('x')}.{signature}",
            "payload deep": f"{head}.{b64(b'[' * 1500)}.{signature}",
            "header deep": f"{b64(b'[' * 1500)}.{payload}.{signature}",
            "header no JSON": f"{b64(b'hello')}.{payload}.{signature}",
            "a key twice in the header": f"{b64(twice)}.{payload}.{signature}",
        }


@pytest.fixture(scope="session")
def victim(suite: Suite) -> Account:
    """Return somebody whose token is forged; it is forged often, and making it takes long."""
    return suite.client.register()


@pytest.mark.regression("X65", "X66", "Y02", "X60", "X61")
def test_forged_tokens_are_refused(client: Client, victim: Account) -> None:
    """Some hundred and fifty kinds: each is 401 and none of ours, at a verifying and at a changing route."""
    session = victim.login()
    forged = Forge(session.access, client.get("/.well-known/jwks.json").json()).all()
    assert len(forged) > 120
    wrong = {}
    for name, token in forged.items():
        for reply in (client.verify(token), client.post("/session/logout", token=token)):
            if reply.status_code != 401 or reply.json()["code"] != "invalid-token":
                wrong[name] = f"{reply.status_code} {reply.text}"
    assert wrong == {}
    granted(client.verify(session.access))


@pytest.mark.regression("X66", "Y02")
def test_tokens_signed_by_our_own_key_are_refused_unless_they_are_ours_in_all(suite: Suite, victim: Account) -> None:
    """Another type, issuer, audience or header, claims missing or of a wrong type, all with a good signature."""
    client, session = suite.client, victim.login()
    ring = json.loads((suite.data / "keys" / "keyring.json").read_text(encoding="ascii"))
    key = serialization.load_pem_private_key(ring["keys"][0]["secret"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    forge = Forge(session.access, client.get("/.well-known/jwks.json").json(), key)
    granted(client.verify(forge.resigned(jti=str(uuid.uuid4()))))
    headers = [
        {"typ": "JWT"},
        {"typ": "refresh"},
        {"kid": "other"},
        {"crit": ["exp"]},
        {"jku": "http://127.0.0.1:9"},
        {"cty": "JWT"},
    ]
    claims: list[dict[str, object]] = [
        *({name: ...} for name in forge.claims),
        {"iss": "https://evil.test"},
        {"iss": [forge.claims["iss"]]},
        {"aud": "https://evil.test"},
        {"device_id": str(uuid.uuid4())},
        *({"exp": value} for value in ("never", float("nan"), 10**30, -(10**30), True, None, 1.5)),
        *({"iat": value} for value in ("now", None, True, [])),
        *({"sub": value} for value in (1, None, [forge.claims["sub"]], {})),
        *({"sid": value} for value in (1, None, True)),
        {"nbf": 99_999_999_999},
    ]
    tokens = [forge.resigned(header=header) for header in headers] + [forge.resigned(**each) for each in claims]
    for token in tokens:
        refused(client.verify(token), 401, "invalid-token")
    for stranger in (
        {"sid": str(uuid.uuid4())},
        {"sub": str(uuid.uuid4())},
        {"sub": "\x00"},
        {"sub": "x" * 1500},
        {"sid": ""},
    ):
        refused(client.verify(forge.resigned(**stranger)), 401, "session-ended")
    refused(client.verify(forge.resigned(exp=1)), 401, "token-expired")


@pytest.mark.regression("X65")
def test_a_cut_token_is_refused(client: Client, victim: Account) -> None:
    """At every place where it can be cut, and with any one letter changed near an end of a part."""
    session = victim.login()
    good = session.access
    dots = [place for place, letter in enumerate(good) if letter == "."]
    places = {0, len(good) - 1} | {near for dot in dots for near in (dot - 1, dot + 1)}
    texts = [good[:length] for length in range(1, len(good), 7)]
    texts += [good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :] for place in places]
    codes = Counter(client.verify(text).status_code for text in texts)
    assert codes == {401: len(texts)}
    granted(client.verify(good))


def test_other_tokens_are_no_access_tokens(client: Client) -> None:
    """Refresh, takeover and pairing tokens open nothing."""
    account = client.register()
    laptop, session = account.pair(), account.login()
    pairing = account.pairing()
    others = [
        session.refresh,
        account.question(laptop)["takeover"]["token"],
        pairing["pairing_token"],
        pairing["qr_code"],
        session.session_id,
        account.phone.fingerprint,
    ]
    for token in others:
        refused(client.verify(token), 401, "invalid-token")


def test_a_token_of_another_suite_is_refused(client: Client, pool: Pool) -> None:
    """Another key ring's token is forged here, whoever's name it bears."""
    other = pool(MAX_CONCURRENT_DEVICES="3").client
    session = other.register().login()
    refused(client.verify(session.access), 401, "invalid-token")
    refused(client.refresh(session.refresh), 401, "invalid-token")


def test_two_authorization_headers_open_nothing(client: Client) -> None:
    """Which of them counts is never a question."""
    session = client.register().login()
    reply = client.get("/session/verify", headers={"Authorization": f"Bearer junk, Bearer {session.access}"})
    refused(reply, 401, "invalid-token")
