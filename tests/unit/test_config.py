"""Settings: read once from a mapping, all faults told together."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.account.admission import ConcurrencyMode, DeviceProof
from common.account.policy import Policy
from common.account.policy_values import to_policy
from common.config import RENAMED, SettingsError, SettingsReader
from common.rate_limit import Quota
from ichidai.brand import Brand
from ichidai.settings import OverridesForTests, Settings, read_settings, read_test_overrides
from ichidai.topology import DOMAINS, AddressSettings, App
from tests.unit.builders import DAY, MINUTE, SECOND


def faults_of(**source: str) -> tuple[str, ...]:
    """Return what is wrong with settings."""
    with pytest.raises(SettingsError) as error:
        read_settings(source)
    return error.value.faults


@pytest.fixture
def settings() -> Settings:
    """Return the settings of an empty environment."""
    return read_settings({})


class TestMail:
    """Where mails go, and who sends them."""

    def test_nothing_is_mailed_unless_it_is_said_where(self, settings: Settings) -> None:
        """Off is the default, and a word for it."""
        assert settings.registration.mail is None
        assert read_settings({"ICHIDAI_MAIL": "off"}).registration.mail is None

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    def test_a_server_on_this_machine_needs_no_sender(self, host: str) -> None:
        """It is spoken to without TLS, too."""
        mail = read_settings({"ICHIDAI_MAIL": f"smtp://{host}:25"}).registration.mail
        assert mail is not None
        assert (mail.sender, mail.is_loopback, mail.user) == ("ichidai@localhost", True, "")

    def test_another_one_is_told_who_sends(self) -> None:
        """Name and password stand in the address, escaped where they must be."""
        address = {"ICHIDAI_MAIL": "smtp://suite:p%40ss@mail.example:587"}
        assert faults_of(**address) == ("ICHIDAI_MAIL_FROM is needed where the mail server is on another machine",)
        mail = read_settings({**address, "ICHIDAI_MAIL_FROM": "suite@example.test"}).registration.mail
        assert mail is not None
        assert (mail.host, mail.port, mail.user, mail.password) == ("mail.example", 587, "suite", "p@ss")
        assert (mail.sender, mail.is_loopback) == ("suite@example.test", False)

    @pytest.mark.parametrize(
        "address",
        [
            "on",
            "smtps://mail:465",
            "smtp://mail",
            "smtp://:25",
            "smtp://u:secret@mail:port",
            "smtp://u:secret@mail:25/x",
        ],
    )
    def test_what_is_no_address_is_not_quoted(self, address: str) -> None:
        """A password may be in it."""
        (fault,) = faults_of(ICHIDAI_MAIL=address)
        assert fault == "ICHIDAI_MAIL must be off or smtp://[user:password@]host:port"

    def test_a_sender_has_the_form_of_an_address(self) -> None:
        """It goes into a header."""
        assert faults_of(ICHIDAI_MAIL_FROM="a@b.test\r\nBcc: x@y.test")[0].startswith("ICHIDAI_MAIL_FROM must be")


class TestDefaults:
    """Without any settings it runs on a developer's machine."""

    @pytest.mark.requirement("D40")
    def test_one_device_may_be_active_and_the_person_is_asked(self, settings: Settings) -> None:
        """That is what it is for."""
        policy = to_policy(settings.policy)
        assert policy.rules.limit == 1
        assert policy.mode is ConcurrencyMode.ASK
        assert policy.allow_force
        assert policy.device_proof is DeviceProof.FINGERPRINT
        assert policy.max_devices == 10

    @pytest.mark.requirement("B06")
    def test_tokens_are_short_and_sessions_end(self, settings: Settings) -> None:
        """Ten minutes, a day without activity, thirty days in all."""
        policy = to_policy(settings.policy)
        assert policy.access_token_lifetime == 10 * MINUTE
        assert policy.rules.idle == DAY
        assert policy.session_lifetime == 30 * DAY
        assert policy == Policy(), "what no store has said is the default"

    def test_guesses_are_bounded(self, settings: Settings) -> None:
        """By source, account and both."""
        assert settings.registration.login_attempts_account_source == Quota(10, MINUTE)
        assert settings.registration.login_attempts_account == Quota(50, MINUTE)
        assert settings.registration.login_attempts_source == Quota(100, SECOND)

    @pytest.mark.requirement("R24")
    @pytest.mark.regression("X49", "X65", "X76")
    def test_nothing_leaves_the_machine_and_nobody_is_trusted(self, settings: Settings) -> None:
        """No topic, no bucket, no origins, no proxies, and no secret has a default."""
        assert settings.registration.sns_topic_arn == "dummy"
        assert settings.device.s3_bucket == ""
        assert (settings.cors_origins, settings.trusted_proxies) == ((), ())
        assert settings.client_cert_header is None

    def test_data_and_keys_lie_together(self, settings: Settings) -> None:
        """The keys in a folder of their own."""
        assert settings.store_url == f"sqlite:///{Path('.ichidai') / 'ichidai.sqlite'}"
        assert settings.keys_dir == Path(".ichidai/keys")
        assert settings.port is None


@pytest.mark.requirement("R03", "D03")
def test_every_setting_is_read() -> None:
    """Each by its name, with space around it forgiven."""
    settings = read_settings(
        {
            "ICHIDAI_DATA_DIR": "/data",
            "ICHIDAI_STORE_URL": "dynamodb://prefix",
            "ICHIDAI_KEYS_DIR": "/keys",
            "ICHIDAI_PUBLIC_URL": "https://accounts.example.test/",
            "ICHIDAI_ISSUER": "https://issuer.example.test",
            "ICHIDAI_REGISTRATION_URL": "https://registration.example.test",
            "ICHIDAI_LOGIN_URL": "https://login.example.test/",
            "ICHIDAI_SESSION_URL": "https://session.example.test",
            "ICHIDAI_DEVICE_URL": "https://device.example.test",
            "ICHIDAI_ADMIN_URL": "https://admin.example.test",
            "ICHIDAI_CONSOLE_URL": "https://console.example.test",
            "ICHIDAI_BRAND_NAME": "Hoshi",
            "ICHIDAI_BRAND_COLOR": "#7A1F5C",
            "ICHIDAI_TERMS_URL": "https://hoshi.example/terms",
            "ICHIDAI_EVENTS_URL": "https://events.example.test",
            "ICHIDAI_CORS_ORIGINS": "https://a.test, https://b.test,",
            "ICHIDAI_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
            "ICHIDAI_CLIENT_CERT_HEADER": "Client-Cert-0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "ICHIDAI_CERTIFICATE_BOUND_TOKENS": "true",
            "ICHIDAI_CONCURRENCY_MODE": " evict ",
            "ICHIDAI_ALLOW_FORCE": "false",
            "ICHIDAI_DEVICE_PROOF": "none",
            "ICHIDAI_MAX_DEVICES": "20",
            "ICHIDAI_ACCESS_TOKEN_SECONDS": "60",
            "ICHIDAI_IDLE_SECONDS": "120",
            "ICHIDAI_SESSION_SECONDS": "180",
            "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "1",
            "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": "2",
            "ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "3",
            "MAX_CONCURRENT_DEVICES": "0",
            "AWS_REGION": "ap-northeast-1",
            "SNS_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:x",
            "S3_BUCKET": "bucket",
            "PORT": "8080",
            "PATH": "/usr/bin",
        }
    )
    assert (settings.store_url, settings.keys_dir, settings.port) == ("dynamodb://prefix", Path("/keys"), 8080)
    assert settings.addresses == AddressSettings(
        public_url="https://accounts.example.test",
        issuer="https://issuer.example.test",
        console_url="https://console.example.test",
        events_url="https://events.example.test",
        app_urls={app: f"https://{app}.example.test" for app in (*DOMAINS, App.ADMIN)},
    )
    assert settings.brand == Brand("Hoshi", None, "#7a1f5c", "https://hoshi.example/terms")
    assert settings.cors_origins == ("https://a.test", "https://b.test")
    assert settings.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("192.0.2.1/32"))
    assert settings.client_cert_header == "Client-Cert-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    assert (settings.login.certificate_bound, settings.session.certificate_bound) == (True, True)
    policy = to_policy(settings.policy)
    assert policy.mode is ConcurrencyMode.EVICT
    assert not policy.allow_force
    assert policy.device_proof is DeviceProof.NONE
    assert policy.max_devices == 20
    assert policy.rules.limit == 0
    assert policy.rules.idle == timedelta(seconds=120)
    assert policy.access_token_lifetime == timedelta(seconds=60)
    assert policy.session_lifetime == timedelta(seconds=180)
    guesses = settings.registration
    bursts = (
        guesses.login_attempts_account_source.burst,
        guesses.login_attempts_account.burst,
        guesses.login_attempts_source.burst,
    )
    assert bursts == (1, 2, 3)
    assert (guesses.aws_region, guesses.sns_topic_arn, settings.device.s3_bucket) == (
        "ap-northeast-1",
        "arn:aws:sns:eu-central-1:123456789012:x",
        "bucket",
    )


def test_the_data_dir_carries_store_and_keys() -> None:
    """Unless they are set themselves."""
    settings = read_settings({"ICHIDAI_DATA_DIR": "/data"})
    assert settings.store_url == f"sqlite:///{Path('/data') / 'ichidai.sqlite'}"
    assert settings.keys_dir == Path("/data/keys")


def test_all_faults_are_told_together() -> None:
    """One start finds them all, each by its name."""
    source = {
        "MAX_CONCURRENT_DEVICES": "many",
        "ICHIDAI_CONCURRENCY_MODE": "maybe",
        "ICHIDAI_ALLOW_FORCE": "yes",
        "ICHIDAI_MAX_DEVICES": "21",
        "ICHIDAI_IDLE_SECONDS": "0",
        "ICHIDAI_PUBLIC_URL": "accounts.example.test",
        "ICHIDAI_LOGIN_URL": "http://login.example.test:70000",
        "ICHIDAI_CONSOLE_URL": "https://console.example.test/?from=here",
        "ICHIDAI_BRAND_NAME": "a name that is far too long for any header of a page",
        "ICHIDAI_BRAND_LOGO": "/no/such/logo.svg",
        "ICHIDAI_BRAND_COLOR": "#ffcc00",
        "ICHIDAI_TERMS_URL": "http://hoshi.example/terms",
        "ICHIDAI_TRUSTED_PROXIES": "10.0.0.1/8,proxy",
        "PORT": "70000",
        "ICHIDAI_MAX_DEVICE": "3",
        "ICHIDAI_MODE": "ask",
    }
    faults = faults_of(**source)
    assert len(faults) == len(source) + 1, "two of the proxies are wrong"
    assert {fault.split()[0] for fault in faults} == set(source)


def test_an_unknown_name_of_ours_stops_the_start() -> None:
    """A typo must not silently leave a default in force."""
    (fault,) = faults_of(ICHIDAI_MAX_CONCURRENT_DEVICES="3")
    assert "ICHIDAI_MAX_CONCURRENT_DEVICES is not a setting" in fault


def test_names_of_others_and_of_the_tests_are_ignored() -> None:
    """We do not own the environment."""
    assert read_settings({"ICHIDAI_TEST_REQUIRE": "all", "HOME": "/root", "MAX_DEVICES": "x"}) == read_settings({})


@pytest.mark.parametrize(
    "raw", ["-1", "21", "1.5", "1e1", "x", "٣", "1_0", "+1", "0x1", "9" * 5000], ids=lambda raw: raw[:10]
)
def test_a_number_is_plain_digits_within_its_bounds(raw: str) -> None:
    """Nothing that a person could misread."""
    (fault,) = faults_of(MAX_CONCURRENT_DEVICES=raw)
    assert "from 0 to 20" in fault


@pytest.mark.parametrize(
    "url",
    [
        "accounts.example.test",
        "ftp://accounts.example.test",
        "https://",
        "https:///path",
        "https://a.test?x=1",
        "https://a.test#x",
        "http://[::1",
        "http://a.test:port",
        "http://:8000",
    ],
)
def test_a_url_is_http_with_a_host_and_nothing_behind_its_path(url: str) -> None:
    """Links are made by writing a path behind it."""
    (fault,) = faults_of(ICHIDAI_ISSUER=url)
    assert fault.startswith("ICHIDAI_ISSUER must be a URL")


@pytest.mark.parametrize(
    "name",
    [
        "X-Client-Cert",
        "Client-Cert-secret",
        "Client-Cert-" + "f" * 32,
        "Client_Cert_0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "Client-Cert: 0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "Client-Cert-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 5,
    ],
)
def test_a_header_for_certificates_has_the_name_of_the_rfc_or_one_that_cannot_be_guessed(name: str) -> None:
    """And the fault does not tell it: it may be a secret with one letter wrong."""
    (fault,) = faults_of(ICHIDAI_CLIENT_CERT_HEADER=name, ICHIDAI_TRUSTED_PROXIES="10.0.0.1")
    assert "no client can guess" in fault
    assert name not in fault


def test_a_header_for_certificates_needs_a_proxy_that_writes_it() -> None:
    """Without one it would never be looked at."""
    (fault,) = faults_of(ICHIDAI_CLIENT_CERT_HEADER="client-cert")
    assert "ICHIDAI_TRUSTED_PROXIES" in fault


def test_tokens_are_bound_to_certificates_only_where_some_are_seen() -> None:
    """Otherwise the setting would promise what is never done."""
    (fault,) = faults_of(ICHIDAI_CERTIFICATE_BOUND_TOKENS="true", ICHIDAI_TRUSTED_PROXIES="10.0.0.1")
    assert "ICHIDAI_CLIENT_CERT_HEADER" in fault


@given(st.dictionaries(st.sampled_from(["A", "B", "ICHIDAI_C"]), st.text(st.characters(exclude_categories=("Cs",)))))
def test_any_text_is_a_value_or_a_fault(source: dict[str, str]) -> None:
    """No other exception comes out of an environment."""
    reader = SettingsReader(source)
    reader.integer("A", 1, 0, 9)
    reader.choice("B", "x", ("x", "y"))
    reader.boolean("ICHIDAI_C", default=True)
    with suppress(SettingsError):
        reader.finish()


def test_an_empty_value_is_as_absent() -> None:
    """Compose files leave such."""
    assert read_settings({"MAX_CONCURRENT_DEVICES": "", "ICHIDAI_ISSUER": " ", "PORT": ""}) == read_settings({})


def test_the_tests_own_names_change_the_clock_and_the_cost_of_a_hash() -> None:
    """Off unless they are set; a value that cannot be read stops the start."""
    assert read_test_overrides({}) == OverridesForTests(False, timedelta(), timedelta())  # noqa: FBT003
    names = {
        "ICHIDAI_TEST_CHEAP_HASH": "true",
        "ICHIDAI_TEST_CLOCK_OFFSET_SECONDS": "-3600",
        "ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS": "60",
    }
    assert read_test_overrides(names) == OverridesForTests(True, timedelta(hours=-1), timedelta(minutes=1))  # noqa: FBT003
    with pytest.raises(SettingsError) as error:
        read_test_overrides({"ICHIDAI_TEST_CHEAP_HASH": "yes", "ICHIDAI_TEST_CLOCK_OFFSET_SECONDS": "1.5"})
    assert len(error.value.faults) == 2


def test_signatures_cannot_be_asked_of_those_who_have_no_key() -> None:
    """The sentence says which of the two settings asks for it."""
    (fault,) = faults_of(ICHIDAI_EVICTIONS_BEFORE_SIGNATURE="3", ICHIDAI_DEVICE_PROOF="none")
    assert fault.startswith("ICHIDAI_EVICTIONS_BEFORE_SIGNATURE asks for signatures")


def test_active_devices_are_asked_only_where_users_consent() -> None:
    """In the other modes nobody takes over, or nobody is asked at all."""
    for mode in ("reject", "evict"):
        (fault,) = faults_of(ICHIDAI_TAKEOVER_APPROVAL="ask", ICHIDAI_CONCURRENCY_MODE=mode)
        assert fault.startswith("ICHIDAI_TAKEOVER_APPROVAL=ask needs ICHIDAI_CONCURRENCY_MODE=ask")


class TestRenamed:
    """Names of release 0.1.0 go on being read, and say what they are called now."""

    def test_an_old_name_is_read_with_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        """The value counts as if it stood under the new name."""
        settings = read_settings({"ICHIDAI_GUESSES_ACCOUNT": "7"})
        assert settings == read_settings({"ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": "7"})
        assert "ICHIDAI_GUESSES_ACCOUNT is called ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT now" in caplog.text

    def test_the_new_name_counts_where_both_are_there(self) -> None:
        """A deployment may set both while servers of two releases share its configuration."""
        both = read_settings({"ICHIDAI_UNPROVEN_EVICTIONS": "9", "ICHIDAI_EVICTIONS_BEFORE_SIGNATURE": "3"})
        assert to_policy(both.policy).evictions_before_signature == 3

    def test_a_fault_names_the_new_name(self) -> None:
        """It is the one that the settings page lists."""
        (fault,) = faults_of(ICHIDAI_GUESSES_SOURCE="many")
        assert fault.startswith("ICHIDAI_LOGIN_ATTEMPTS_SOURCE")

    def test_every_new_name_is_a_setting(self) -> None:
        """An alias that leads nowhere would stop the start."""
        assert read_settings(dict.fromkeys(RENAMED, "3")) == read_settings(dict.fromkeys(RENAMED.values(), "3"))
