"""The reference client over real HTTP: the whole story, with both kinds of keys, whatever proof the suite demands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import jwt
import pytest
import requests

from ichidai.client import (
    Device,
    DeviceActive,
    DeviceExistsError,
    DeviceFile,
    InMemoryState,
    KeyKind,
    LoginResult,
    NoDevice,
    NotLoggedIn,
    Problem,
    ServerIdentityError,
    SessionEnded,
    Unreachable,
    UnreadableCode,
    open_device,
)
from ichidai.client.keys import DeviceKeys
from ichidai.client.state import State, Tokens
from tests.support.client import PASSWORD, all_at_once, unique
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, four_entrances

Pool = Callable[..., Suite]
MakeDevice = Callable[..., Device]

SHORT = "4"
"""Seconds that an access token is good for: long enough for a busy machine to use it, short enough to wait for."""

MODES = ["fingerprint", "signature"]


TRIES = 3
"""How often a device may ask to join in ten minutes: on a machine that is busy for 30 seconds one try is lost."""


@contextmanager
def suppress_late() -> Iterator[None]:
    """Pass over an approval whose half minute was over on a busy machine."""
    try:
        yield
    except Problem as problem:
        if problem.code not in ("approval-refused", "approval-spent"):
            raise


def base_of(suite: Suite) -> str:
    """Return where the combined app is."""
    return suite.servers[0].base


def yes(_question: DeviceActive) -> bool:
    """Consent to whatever is shown."""
    return True


@pytest.fixture
def device(tmp_path: Path) -> Iterator[MakeDevice]:
    """Return a function that gives the device of a file of that name."""
    with ExitStack() as opened:
        yield lambda name, suite=None, **more: opened.enter_context(
            open_device(tmp_path / f"{name}.json", None if suite is None else base_of(suite), language="en", **more)
        )


@pytest.fixture
def pair(suite: Suite, device: MakeDevice) -> tuple[Device, Device]:
    """Return two devices of somebody, neither of them logged in."""
    return two_devices(suite, device, KeyKind.CLASSICAL)


def two_devices(suite: Suite, device: MakeDevice, kind: KeyKind) -> tuple[Device, Device]:
    """Register somebody with a phone, and let a laptop join by the code that the registration gave."""
    phone, laptop, username = device("phone", suite), device("laptop", suite), unique()
    code = phone.register(username, f"{username}@b.test", PASSWORD, device_name="Phone", keys=kind)
    laptop.join(code.qr_code, username, PASSWORD, device_name="Laptop", keys=kind)
    return phone, laptop


@pytest.mark.requirement("R37", "R55", "R56", "R73", "B03", "B09", "B11")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KeyKind)
def test_the_whole_story(pool: Pool, device: MakeDevice, mode: str, kind: KeyKind) -> None:
    """Keys made here, a challenge login, the question, the consent with proof, and the notice elsewhere."""
    suite = pool(ICHIDAI_DEVICE_PROOF=mode)
    phone, laptop = two_devices(suite, device, kind)
    phone.log_in(PASSWORD)
    assert phone.verify()["device_id"] == phone.identity.device_id
    with pytest.raises(DeviceActive) as asked:
        laptop.log_in(PASSWORD)
    assert [active.device_name for active in asked.value.active] == ["Phone"]
    assert asked.value.message.startswith("This account is in use elsewhere.")
    assert phone.verify()["active"]
    entered = laptop.take_over(asked.value, PASSWORD)
    assert entered.ended == ["Phone"]
    with pytest.raises(SessionEnded) as told:
        phone.verify()
    assert (told.value.reason, told.value.elsewhere) == ("taken-over", True)
    with pytest.raises(NotLoggedIn):
        phone.verify()
    assert laptop.verify()["session_id"] == entered.session_id
    assert laptop.take_over(asked.value, PASSWORD).session_id == entered.session_id
    laptop.refresh()
    with pytest.raises(Problem) as spent:
        laptop.take_over(asked.value, PASSWORD)
    assert spent.value.code == "takeover-spent"
    laptop.log_out()
    phone.log_in(PASSWORD)


def test_the_active_device_is_asked_first(pool: Pool, device: MakeDevice) -> None:
    """Its user types the digits that the other shows, or refuses; a program that can show none is told the question."""
    phone, laptop = two_devices(pool(ICHIDAI_TAKEOVER_APPROVAL="ask"), device, KeyKind.CLASSICAL)
    phone.log_in(PASSWORD)
    with pytest.raises(DeviceActive) as asked:
        laptop.log_in(PASSWORD, ask=yes)
    assert (asked.value.takeover, asked.value.approval is None) == (None, False)
    assert phone.approvals() == []

    def type_digits(digits: str) -> None:
        (each,) = phone.approvals()
        assert each["device_name"] == "Laptop"
        with pytest.raises(Problem) as wrong:
            phone.approve(each["approval_id"], "none")
        assert wrong.value.code == "digits-wrong"
        phone.approve(each["approval_id"], digits)

    assert laptop.log_in(PASSWORD, ask=yes, show_digits=type_digits).ended == ["Phone"]
    with pytest.raises(Problem) as refused:
        phone.log_in(PASSWORD, ask=yes, show_digits=lambda _digits: laptop.refuse(laptop.approvals()[0]["approval_id"]))
    assert refused.value.code == "approval-refused"
    assert laptop.verify()["active"]


@pytest.mark.parametrize("kind", KeyKind)
def test_a_device_joins_by_approval(
    kind: KeyKind, tmp_path: Path, started: Callable[[Suite], Suite], device: MakeDevice
) -> None:
    """Without code and password: the phone's user types the digits, and who joins is asked the limit's question."""
    suite = started(combined(tmp_path / "suite", ICHIDAI_JOIN_BY_APPROVAL="true"))
    phone, tablet, username = device("phone", suite), device("tablet", suite), unique()
    phone.register(username, f"{username}@b.test", PASSWORD, device_name="Phone", keys=KeyKind.CLASSICAL)
    phone.log_in(PASSWORD)
    questions: list[DeviceActive] = []

    def consent(question: DeviceActive) -> bool:
        questions.append(question)
        return True

    def type_digits(digits: str) -> None:
        for each in phone.approvals():
            assert (each["device_name"], each["joins"]) == ("Tablet", True)
            phone.approve(each["approval_id"], digits)

    def join() -> LoginResult:
        for _ in range(TRIES - 1):
            with suppress_late():
                return tablet.join_by_approval(username, type_digits, ask=consent, device_name="Tablet", keys=kind)
        return tablet.join_by_approval(username, type_digits, ask=consent, device_name="Tablet", keys=kind)

    assert join().ended == ["Phone"]
    assert [active.device_name for active in questions[-1].active] == ["Phone"]
    assert tablet.verify()["device_id"] == tablet.identity.device_id
    tablet.refresh()
    with pytest.raises(SessionEnded) as told:
        phone.verify()
    assert (told.value.reason, told.value.elsewhere) == ("taken-over", True)
    with pytest.raises(DeviceExistsError):
        tablet.join_by_approval(username, type_digits)
    tablet.log_out()
    tablet.log_in(PASSWORD)


def test_where_joining_by_approval_is_off_nothing_is_kept(suite: Suite, device: MakeDevice) -> None:
    """A refusal leaves no keys behind."""
    tablet = device("tablet", suite)
    with pytest.raises(Problem) as off:
        tablet.join_by_approval(unique(), lambda _digits: pytest.fail("no digits"))
    assert off.value.code == "not-supported"
    with pytest.raises(NoDevice):
        tablet.identity  # noqa: B018 - that it cannot be read is what is tested


@pytest.mark.requirement("R70", "R61", "R69", "D55", "D56")
def test_any_device_brings_in_another(suite: Suite, device: MakeDevice, pair: tuple[Device, Device]) -> None:
    """By a code it asks for with its proof; the account lists all of them, and unbinding ends one."""
    phone, laptop = pair
    tablet = device("tablet", suite)
    code = laptop.pairing_code(PASSWORD)
    tablet.join(f"http://127.0.0.1/registration/#{code.qr_code}", phone.identity.username, PASSWORD)
    tablet.log_in(PASSWORD)
    listed = {each["device_id"]: each["is_active"] for each in tablet.devices()}
    mine = [each.identity.device_id for each in (phone, laptop, tablet)]
    assert listed == dict(zip(mine, [False, False, True], strict=True))
    tablet.unbind(laptop.identity.device_id)
    with pytest.raises(Problem) as refused:
        laptop.log_in(PASSWORD, ask=yes)
    assert refused.value.code in ("certificate-mismatch", "certificate-revoked")


@pytest.mark.requirement("R72")
@pytest.mark.parametrize("kind", KeyKind)
def test_a_device_objects_to_what_another_did(pool: Pool, device: MakeDevice, kind: KeyKind) -> None:
    """Its session has ended; its key speaks. A device that joined by that change, and a second time, are refused."""
    phone, laptop = two_devices(pool(), device, kind)
    phone.log_in(PASSWORD)
    events = phone.get("/session/history")["events"]
    (joined,) = {event["change_no"] for event in events if event["device_name"] == laptop.identity.device_name}
    laptop.log_in(PASSWORD, ask=yes)
    with pytest.raises(Problem) as later:
        laptop.object_to(joined)
    assert laptop.verify()
    phone.object_to(joined)
    with pytest.raises(SessionEnded) as ended:
        laptop.verify()
    with pytest.raises(Problem) as again:
        phone.object_to(joined)
    with pytest.raises(Problem) as known:
        phone.log_in(PASSWORD)
    assert ended.value.reason == "revoked"
    told = [each.value.code for each in (later, again, known)]
    assert told == ["proof-invalid", "link-spent", "password-reset-required"]


@pytest.mark.requirement("R37", "R73", "R75")
@pytest.mark.parametrize("kind", KeyKind)
def test_the_wrong_key_is_refused_and_the_other_session_lives(pool: Pool, device: MakeDevice, kind: KeyKind) -> None:
    """Right password, right certificate, another key: no login, no takeover, no pairing."""
    suite = pool(ICHIDAI_DEVICE_PROOF="signature")
    phone, laptop = two_devices(suite, device, kind)
    phone.log_in(PASSWORD)
    with pytest.raises(DeviceActive) as asked:
        laptop.log_in(PASSWORD)
    stolen = laptop._state_store.read()
    assert stolen is not None
    before = suite.rows()
    for keys in (DeviceKeys.make(kind), DeviceKeys.make(other_than(kind)), signing_alone(stolen, kind)):
        thief = Device(InMemoryState(replace(stolen, keys=keys)))
        for endpoint in (
            partial(thief.log_in, PASSWORD, ask=yes),
            partial(thief.take_over, asked.value, PASSWORD),
            partial(thief.pairing_code, PASSWORD),
        ):
            with pytest.raises((Problem, ServerIdentityError)) as refused:
                endpoint()
            assert not isinstance(refused.value, DeviceActive)
            if isinstance(refused.value, Problem):
                said = (refused.value.status, refused.value.code)
                assert said in ((401, "proof-invalid"), (403, "device-mismatch"))  # the latter: a consent bound by DPoP
    kept = {place: row for place, row in suite.rows().items() if place[0] != "ChallengesTable"}
    assert kept == {place: row for place, row in before.items() if place[0] != "ChallengesTable"}
    assert phone.verify()["active"]
    assert laptop.take_over(asked.value, PASSWORD).ended == ["Phone"]


@pytest.mark.requirement("R33", "R56", "D28")
@pytest.mark.parametrize("kind", KeyKind)
def test_one_address_of_four_apps_is_enough(started: Callable[[Suite], Suite], tmp_path: Path, kind: KeyKind) -> None:
    """Four processes: each call goes to its own app, and proofs of bound tokens name that app's address."""
    suite = started(four_entrances(tmp_path / "suite"))
    registration, login, session, device_app = (server.base for server in suite.servers)
    username = unique()
    with (
        open_device(tmp_path / "phone.json", registration) as phone,
        open_device(tmp_path / "laptop.json", login) as laptop,
    ):
        code = phone.register(username, f"{username}@b.test", PASSWORD, device_name="Phone", keys=kind)
        laptop.join(code.qr_code, username, PASSWORD, device_name="Laptop", keys=kind)
        phone.log_in(PASSWORD)
        assert laptop.log_in(PASSWORD, ask=yes).ended == ["Phone"]
        with pytest.raises(SessionEnded):
            phone.verify()
    for base in (session, device_app):
        with open_device(tmp_path / "laptop.json", base) as laptop:
            laptop.refresh()
            assert [each["device_name"] for each in laptop.devices() if each["current"]] == ["Laptop"]
            assert laptop.get("/session/list?limit=5")["sessions"]
            laptop.renew(PASSWORD)
    laptop.log_out()


def test_a_registration_that_costs_work_is_worked_for(
    started: Callable[[Suite], Suite], device: MakeDevice, tmp_path: Path
) -> None:
    """The fourth account of an address: the client does the work that is asked for, and registers."""
    suite = started(combined(tmp_path / "suite", ICHIDAI_REGISTRATION="work"))
    for number in range(5):
        name = unique()
        each = device(f"device{number}", suite)
        each.register(name, f"{name}@b.test", PASSWORD, keys=KeyKind.CLASSICAL)
    each.log_in(PASSWORD)


def other_than(kind: KeyKind) -> KeyKind:
    """Return the other kind."""
    return KeyKind.CLASSICAL if kind is KeyKind.POST_QUANTUM else KeyKind.POST_QUANTUM


def signing_alone(stolen: State, kind: KeyKind) -> DeviceKeys:
    """Return the keys of somebody who can open what is sealed, but not sign."""
    return replace(stolen.keys, signing=DeviceKeys.make(kind).signing)


class TestBoundTokens:
    """A session of a device with a P-256 key is bound to it (DPoP): its tokens are worth nothing without the key."""

    def test_stolen_tokens_open_nothing(
        self, suite: Suite, device: MakeDevice, pair: tuple[Device, Device], tmp_path: Path
    ) -> None:
        """Neither as a bearer's nor with another key; whoever has the file goes on, in another process too."""
        phone, _ = pair
        phone.log_in(PASSWORD)
        stolen, base = tokens_in(tmp_path / "phone.json"), base_of(suite)
        assert stolen.bound_at == base
        as_bearer = {"Authorization": f"Bearer {stolen.access_token}"}
        assert code_of(requests.get(f"{base}/session/verify", headers=as_bearer, timeout=10)) == (401, "invalid-token")
        body = {"refresh_token": stolen.refresh_token}
        refused = requests.post(f"{base}/session/refresh", json=body, timeout=10)
        assert code_of(refused) == (401, "invalid-dpop-proof")
        state = phone._state_store.read()
        assert state is not None
        thief = Device(InMemoryState(replace(state, keys=DeviceKeys.make(KeyKind.CLASSICAL))))
        for call in (thief.verify, thief.refresh):
            with pytest.raises(Problem) as told:
                call()
            assert (told.value.status, told.value.code) == (401, "invalid-dpop-proof")
        assert phone.verify()["session_id"] == stolen.session_id
        device("phone").refresh()
        assert device("phone").verify()["session_id"] == stolen.session_id
        device("phone").log_out()

    def test_a_nonce_that_has_lapsed_is_replaced(self, pair: tuple[Device, Device]) -> None:
        """The call is sent again with the one that was told, and once."""
        phone, _ = pair
        phone.log_in(PASSWORD)
        prover = phone._session._prover
        assert prover is not None
        prover._nonce = "lapsed"
        assert phone.verify()["active"]
        assert prover._nonce != "lapsed"

    def test_post_quantum_devices_are_bearers(self, suite: Suite, device: MakeDevice, tmp_path: Path) -> None:
        """Their proofs would be longer than headers may be."""
        phone, _ = two_devices(suite, device, KeyKind.POST_QUANTUM)
        phone.log_in(PASSWORD)
        assert tokens_in(tmp_path / "phone.json").bound_at == ""


def code_of(reply: requests.Response) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return reply.status_code, reply.json()["code"]


class TestAsking:
    """The person is asked, and decides."""

    @pytest.mark.requirement("D41", "B08", "B10", "D44")
    def test_who_would_rather_not_changes_nothing(self, suite: Suite, pair: tuple[Device, Device]) -> None:
        """The question comes back as it was, and the other session lives."""
        phone, laptop = pair
        phone.log_in(PASSWORD)
        shown: list[DeviceActive] = []

        def no(question: DeviceActive) -> bool:
            shown.append(question)
            return False

        with pytest.raises(DeviceActive):
            laptop.log_in(PASSWORD, ask=no)
        assert len(shown) == 1
        assert phone.verify()["active"]

    def test_who_came_meanwhile_is_shown_too(
        self, suite: Suite, device: MakeDevice, pair: tuple[Device, Device]
    ) -> None:
        """The consent was to end the phone; the tablet took its place, so that the person is asked anew."""
        phone, laptop = pair
        tablet = device("tablet", suite)
        tablet.join(phone.pairing_code(PASSWORD).qr_code, phone.identity.username, PASSWORD, device_name="Tablet")
        phone.log_in(PASSWORD)
        shown: list[str] = []

        def after_the_tablet(question: DeviceActive) -> bool:
            shown.extend(active.device_name for active in question.active)
            if len(shown) == 1:
                tablet.log_in(PASSWORD, ask=yes)
            return True

        assert laptop.log_in(PASSWORD, ask=after_the_tablet).ended == ["Tablet"]
        assert shown == ["Phone", "Tablet"]

    def test_where_nobody_may_switch_nobody_is_asked(self, pool: Pool, device: MakeDevice) -> None:
        """Mode reject: the refusal, without a consent that could not be used."""
        phone, laptop = two_devices(pool(ICHIDAI_CONCURRENCY_MODE="reject"), device, KeyKind.CLASSICAL)
        phone.log_in(PASSWORD)
        with pytest.raises(DeviceActive) as refused:
            laptop.log_in(PASSWORD, ask=lambda _question: pytest.fail("asked"))
        assert refused.value.takeover is None

    def test_a_lapsed_challenge_is_asked_for_again(self, pair: tuple[Device, Device]) -> None:
        """A person may think longer than a challenge lasts."""
        phone, laptop = pair
        phone.log_in(PASSWORD)
        with pytest.raises(DeviceActive) as asked:
            laptop.log_in(PASSWORD)
        asked.value._came_at -= 70
        assert asked.value.challenge is None
        assert laptop.take_over(asked.value, PASSWORD).ended == ["Phone"]


class TestRefreshing:
    """An expired access token is nobody's business but the client's."""

    def test_a_call_is_sent_again_once(self, pool: Pool, device: MakeDevice, tmp_path: Path) -> None:
        """By each of several that share the file, all at once: the session lives."""
        suite = pool(ICHIDAI_ACCESS_TOKEN_SECONDS=SHORT)
        phone, _ = two_devices(suite, device, KeyKind.CLASSICAL)
        phone.log_in(PASSWORD)
        before = tokens_in(tmp_path / "phone.json")
        others = [device("phone") for _ in range(3)]
        wait_until_expired(before)
        answers = all_at_once([each.verify for each in (phone, *others)])
        assert {answer["session_id"] for answer in answers} == {before.session_id}
        after = tokens_in(tmp_path / "phone.json")
        assert after.refresh_token != before.refresh_token

    def test_who_was_logged_out_elsewhere_hears_it_at_the_refresh(
        self, pool: Pool, device: MakeDevice, tmp_path: Path
    ) -> None:
        """Not that the token has expired, and nothing is left of the session in the file."""
        suite = pool(ICHIDAI_ACCESS_TOKEN_SECONDS=SHORT)
        phone, laptop = two_devices(suite, device, KeyKind.CLASSICAL)
        phone.log_in(PASSWORD)
        wait_until_expired(tokens_in(tmp_path / "phone.json"))
        laptop.log_in(PASSWORD, ask=yes)
        with pytest.raises(SessionEnded) as told:
            phone.refresh()
        assert told.value.reason == "taken-over"
        kept = DeviceFile(tmp_path / "phone.json").read()
        assert kept is not None
        assert (kept.session, kept.identity) == (None, phone.identity)

    def test_a_token_of_nobody_is_no_end_elsewhere(self, pair: tuple[Device, Device], tmp_path: Path) -> None:
        """401 invalid-token is told as what it is, and not tried again."""
        phone, _ = pair
        phone.log_in(PASSWORD)
        file = DeviceFile(tmp_path / "phone.json")
        state = file.read()
        assert state is not None
        assert state.session is not None
        file.write(replace(state, session=replace(state.session, access_token="nonsense")))
        with pytest.raises(Problem) as refused:
            open_device(tmp_path / "phone.json").verify()
        assert not isinstance(refused.value, SessionEnded)
        assert refused.value.code == "invalid-token"


def tokens_in(file: Path) -> Tokens:
    """Return the session in a file."""
    state = DeviceFile(file).read()
    assert state is not None
    assert state.session is not None
    return state.session


def wait_until_expired(tokens: Tokens) -> None:
    """Wait as long as an access token is good for."""
    expires_at = jwt.decode(tokens.access_token, options={"verify_signature": False})["exp"]
    time.sleep(max(0, expires_at + 0.2 - time.time()))


class TestJoining:
    """What is refused leaves nothing behind; what is lost can be done again."""

    def test_a_lost_registration_is_repeated(self, suite: Suite, device: MakeDevice, tmp_path: Path) -> None:
        """The file that was written before anything was sent gives the same device."""
        name = unique()
        lost = device("phone", suite)
        lost._transport._http.hooks["response"].append(once_for("/registration/", requests.ConnectionError("cut")))
        lost._transport._pause = lambda _seconds: None
        lost.register(name, f"{name}@b.test", PASSWORD)
        assert lost.log_in(PASSWORD).ended == []
        assert [each["current"] for each in lost.devices()] == [True]

    def test_so_is_one_that_a_crash_cut_off(self, suite: Suite, device: MakeDevice, tmp_path: Path) -> None:
        """Started anew, the program registers again, and is the one device of the account."""
        name, cut = unique(), device("phone", suite, max_wait=0)
        cut._transport._http.hooks["response"].append(once_for("/registration/", requests.ConnectionError("cut")))
        with pytest.raises(Unreachable):
            cut.register(name, f"{name}@b.test", PASSWORD)
        with pytest.raises(NoDevice):
            cut.log_in(PASSWORD)
        begun = DeviceFile(tmp_path / "phone.json").read()
        again = device("phone")
        again.register(name, f"{name}@b.test", PASSWORD)
        after = DeviceFile(tmp_path / "phone.json").read()
        assert begun is not None
        assert after is not None
        assert after.keys.to_json() == begun.keys.to_json()
        again.log_in(PASSWORD)
        assert len(again.devices()) == 1

    def test_a_refusal_leaves_no_file(
        self, suite: Suite, device: MakeDevice, pair: tuple[Device, Device], tmp_path: Path
    ) -> None:
        """A taken name, a used code."""
        other = device("other", suite)
        with pytest.raises(Problem) as taken:
            other.register(pair[0].identity.username, "x@b.test", PASSWORD)
        assert taken.value.code == "username-taken"
        assert not (tmp_path / "other.json").exists()
        code = pair[0].pairing_code(PASSWORD).qr_code
        with pytest.raises(Problem) as wrong:
            other.join(code, pair[0].identity.username, "not the password")
        assert wrong.value.code == "bad-credentials"
        assert not (tmp_path / "other.json").exists()
        other.join(code, pair[0].identity.username, PASSWORD)

    def test_what_is_no_code_is_sent_nowhere(self, device: MakeDevice, tmp_path: Path) -> None:
        """Nor is a file made."""
        for text in ("", "junk", "e30", "bnVsbA", "eyJ0b2tlbiI6MX0"):
            with pytest.raises(UnreadableCode):
                device("phone").join(text, "anna", PASSWORD)
        assert not list(tmp_path.iterdir())

    def test_one_file_is_one_device(self, suite: Suite, pair: tuple[Device, Device]) -> None:
        """A second registration would lose the first one's keys."""
        phone, laptop = pair
        with pytest.raises(DeviceExistsError, match=phone.identity.username):
            phone.register(unique(), "x@b.test", PASSWORD)
        with pytest.raises(DeviceExistsError):
            phone.join(laptop.pairing_code(PASSWORD).qr_code, phone.identity.username, PASSWORD)
        phone.log_in(PASSWORD)


def once_for(path: str, error: Exception) -> Callable[..., None]:
    """Return a hook that loses the first answer to a POST."""
    left = [error]

    def lose(reply: requests.Response, **_more: object) -> None:
        if reply.request.path_url == path and left:
            raise left.pop()

    return lose


class TestWhomToTrust:
    """A signature is given to the suite that was joined, and to nobody else."""

    def test_another_issuer_gets_none(
        self, pool: Pool, suite: Suite, pair: tuple[Device, Device], device: MakeDevice
    ) -> None:
        """A device that is told to speak to another suite does not sign there."""
        phone, _ = pair
        state = phone._state_store.read()
        assert state is not None
        assert state.identity is not None
        moved = Device(InMemoryState(replace(state, identity=replace(state.identity, issuer="https://other.test"))))
        with pytest.raises(ServerIdentityError, match=r"https://other\.test"):
            moved.log_in(PASSWORD)

    def test_nobody_there(self) -> None:
        """No answer is no refusal, and says where it was looked for."""
        base = f"http://127.0.0.1:{free_port()}"
        nowhere = Device(InMemoryState(), base, max_wait=0)
        with pytest.raises(Unreachable, match=base):
            nowhere.register("anna", "a@b.test", PASSWORD)


def test_another_page_is_no_answer(suite: Suite) -> None:
    """An address that serves something else is told so."""
    lost = Device(InMemoryState(), f"{base_of(suite)}/docs", max_wait=0)
    with pytest.raises(Problem) as odd:
        lost.register("anna", "a@b.test", PASSWORD)
    assert odd.value.code in ("unreadable", "not-found")
