"""Notices by SNS, authorities and revocation lists in S3, against moto's server: shapes are what it is good for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import boto3
import pytest
import requests
from cryptography import x509
from moto.server import ThreadedMotoServer

from common.crypto.certificates import KeyKind
from common.keys.authorities import open_authorities
from common.keys.keyring import FILE_NAME, load_ring
from device_manager.publishing import Publisher
from device_manager.revocation_db import RevocationDb
from device_manager.trust import Trust
from registration.email_sender import MOST_WAITING, NoNotifier, SnsNotifier, notifier_for, topic_fault
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, run_to_its_end, serve_command, until
from tests.usecases.in_process_suite import PASSWORD, HandClock, InProcessSuite

REGION = "eu-central-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start moto's server and let boto3 find it as it would find AWS; return its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    requests.post(f"{url}/moto-api/reset", timeout=10)
    yield url
    server.stop()


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what our own code logged."""
    names = ("registration.email_sender", "device_manager.publishing")
    return [record.getMessage() for record in caplog.records if record.name in names]


@pytest.fixture
def topic(aws: str) -> str:
    """Return a topic whose notices come into `inbox`."""
    arn: str = boto3.client("sns", region_name=REGION).create_topic(Name="registered")["TopicArn"]
    queue = boto3.client("sqs", region_name=REGION)
    queue_url = queue.create_queue(QueueName="inbox")["QueueUrl"]
    queue_arn = queue.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns", region_name=REGION).subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
    return arn


def inbox() -> list[str]:
    """Return the notices that have come since the last look."""
    queue = boto3.client("sqs", region_name=REGION)
    url = queue.get_queue_url(QueueName="inbox")["QueueUrl"]
    found = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"])["Message"] for message in found]


@pytest.mark.requirement("R05", "R15")
def test_each_new_device_is_announced_at_the_topic(
    topic: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one as a registration, then those that join, by either endpoint; from a thread, nothing logged."""
    with (
        caplog.at_level(logging.WARNING),
        closing(
            InProcessSuite(tmp_path, tmp_path / "keys", HandClock(), SNS_TOPIC_ARN=topic, AWS_REGION=REGION)
        ) as deployment,
    ):
        anna = deployment.register("anna", "Phone")
        deployment.pair(anna, "Laptop")
        body = {"username": "anna", "password": PASSWORD, "qr_code": deployment.qr_code(anna), "device_name": "Tablet"}
        assert deployment.post("/device/register", body).status_code == 200
        deployment.suite.registration.notifier.close()  # type: ignore[attr-defined] # all are sent, or given up
    assert sorted(inbox()) == [
        "The account 'anna' was registered with its first device, 'Phone'.",
        "The device 'Laptop' was added to the account 'anna'.",
        "The device 'Tablet' was added to the account 'anna'.",
    ]
    assert not ours(caplog)


@pytest.mark.requirement("R15", "R25")
def test_a_bad_topic_is_told_at_the_start(topic: str, tmp_path: Path) -> None:
    """One that is no topic stops it; of one that is not there it warns, and serves."""
    code, said = run_to_its_end(serve_command("all", free_port()), {"SNS_TOPIC_ARN": "devices"}, tmp_path)
    assert (code, "SNS_TOPIC_ARN must be dummy or a topic" in said) == (2, True)
    assert topic_fault(topic, REGION) is None
    assert topic_fault("dummy", "") is None
    suite = combined(tmp_path / "suite", SNS_TOPIC_ARN=f"{topic}-not", AWS_REGION=REGION)
    try:
        suite.start()
        assert "No notice will be sent" in suite.output
        assert "SNS_TOPIC_ARN" in suite.output
    finally:
        suite.kill()


@pytest.mark.requirement("R24")
@pytest.mark.parametrize("topic", ["dummy", ""])
def test_a_dummy_topic_publishes_nothing(topic: str) -> None:
    """`dummy` and an unset topic skip SNS."""
    assert isinstance(notifier_for(topic, REGION), NoNotifier)


@pytest.mark.requirement("R25")
def test_a_wrong_topic_is_one_log_line_with_what_to_do(aws: str, caplog: pytest.LogCaptureFixture) -> None:
    """A topic that is not there never raises; one line says what to check."""
    notifier = SnsNotifier(f"arn:aws:sns:{REGION}:123456789012:nowhere", REGION)
    with caplog.at_level(logging.WARNING):
        notifier.notify("subject", "message")
        notifier.close()
    (line,) = ours(caplog)
    assert "SNS_TOPIC_ARN" in line


@pytest.mark.requirement("R25")
def test_missing_credentials_are_one_log_line(
    aws: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without credentials a notice is one log line, too."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
    notifier = SnsNotifier(f"arn:aws:sns:{REGION}:123456789012:topic", REGION)
    with caplog.at_level(logging.WARNING):
        notifier.notify("subject", "message")
        notifier.close()
    (line,) = ours(caplog)
    assert "credentials" in line


def test_notices_do_not_pile_up_while_sns_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond what may wait, notices are dropped and a line says so; whoever registers waits for none of them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    notifier = SnsNotifier(f"arn:aws:sns:{REGION}:123456789012:topic", REGION)
    with caplog.at_level(logging.WARNING):
        for _ in range(MOST_WAITING + 20):
            notifier.notify("subject", "message")
        dropped = [line for line in ours(caplog) if "dropped" in line]
        assert dropped
        notifier.discard()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[InProcessSuite]:
    """Return the suite in this process."""
    with closing(InProcessSuite(tmp_path, tmp_path / "keys", HandClock())) as built:
        yield built


@pytest.fixture
def trust(deployment: InProcessSuite, tmp_path: Path) -> Trust:
    """Return what the publisher of this suite asks."""
    store = deployment.store.inner
    founder = load_ring(tmp_path / "keys" / FILE_NAME).authority
    authorities = open_authorities(tmp_path / "keys", store, deployment.clock, founder)
    return Trust(authorities, RevocationDb(store), deployment.clock)


def test_authorities_and_lists_are_published(aws: str, deployment: InProcessSuite, trust: Trust) -> None:
    """With a bucket set, they lie there as the routes answer them, and a revocation follows at the next look."""
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="public", CreateBucketConfiguration={"LocationConstraint": REGION})

    def body(key: str) -> bytes:
        return bytes(s3.get_object(Bucket="public", Key=key)["Body"].read())

    publisher = Publisher(trust, "public", REGION)
    assert publisher.publish()
    assert body("ca.pem") == deployment.get("/device/ca").data
    names = [authority.name for authority in trust.authorities()]
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket="public")["Contents"]}
    kinds = {f"crl/{kind}.crl" for kind in KeyKind}
    assert keys == {"ca.pem", *kinds, *(f"crl/{name}.crl" for name in names)}
    anna = deployment.register()
    laptop = deployment.pair(anna)
    phone = deployment.log_in(anna)
    assert (
        deployment.post("/device/revoke_certificate", {"device_id": laptop.device_id}, phone.access).status_code == 200
    )
    classical = s3.head_object(Bucket="public", Key="crl/p-256.crl")["LastModified"]
    assert publisher.publish()
    serial = int(laptop.answer["certificate"]["serial"], 16)
    for key in ("crl/ml-dsa-87.crl", f"crl/{names[0]}.crl"):
        found = x509.load_der_x509_crl(body(key))
        assert found.get_revoked_certificate_by_serial_number(serial) is not None
        assert found.is_signature_valid(trust.authorities()[0].key.public_key())
    assert s3.head_object(Bucket="public", Key="crl/p-256.crl")["LastModified"] == classical


def test_a_server_publishes_by_itself(aws: str, started: Callable[[Suite], Suite], tmp_path: Path) -> None:
    """`ichidai serve` with `S3_BUCKET` set."""
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="public", CreateBucketConfiguration={"LocationConstraint": REGION})
    started(combined(tmp_path / "suite", S3_BUCKET="public", AWS_REGION=REGION))
    until(lambda: s3.list_objects_v2(Bucket="public").get("KeyCount", 0) == 5, "all five objects are published")


def test_a_missing_bucket_is_one_log_line(aws: str, trust: Trust, caplog: pytest.LogCaptureFixture) -> None:
    """A bucket that is not there stops nothing and says what to check."""
    with caplog.at_level(logging.WARNING):
        assert not Publisher(trust, "nowhere", REGION).publish()
    (line,) = ours(caplog)
    assert "S3_BUCKET" in line
