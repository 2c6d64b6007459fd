"""The CloudFormation template: clean, and what it makes is what the code has. moto makes it: shapes are its trade."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from cfnlint.decode import decode

from common.account.rows import CARRIED
from common.storage.dynamodb.codec import TTL_ATTRIBUTE
from common.storage.opening import open_tables
from common.storage.tables import ALL
from ichidai.table_access import ACCESS, Access
from ichidai.topology import App

TEMPLATE = Path(__file__).parents[2] / "deploy" / "aws" / "ichidai.yaml"
REGION, PREFIX = "eu-central-1", "shop-"


@pytest.fixture(scope="module")
def resources() -> Iterator[dict[str, str]]:
    """Return the physical names of what the template makes with everything that it can, by logical name."""
    with pytest.MonkeyPatch.context() as environment, moto.mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "nobody")
        stacks = boto3.client("cloudformation", REGION)
        wanted = {"Prefix": PREFIX, "WithTopic": "true", "WithBucket": "true"}
        stacks.create_stack(
            StackName="ichidai",
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in wanted.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        made = stacks.describe_stack_resources(StackName="ichidai")["StackResources"]
        yield {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in made}


def test_the_linter_finds_nothing() -> None:
    """cfn-lint knows what AWS would refuse."""
    linter = [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)]
    done = subprocess.run(linter, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_tables_are_those_of_the_code(resources: dict[str, str]) -> None:
    """`ichidai tables check` finds nothing wrong with them, and none is one too many.

    moto makes neither expiry nor recovery of a template; they are compared as they are written.
    """
    tables = open_tables(f"dynamodb://{PREFIX}", REGION)
    assert tables is not None
    assert [fault for fault in tables.check() if "expire" not in fault and "point-in-time" not in fault] == []
    written, _ = decode(str(TEMPLATE))
    for table in ALL:
        about = written["Resources"][table.name]
        assert about["DeletionPolicy"] == about["UpdateReplacePolicy"] == "Retain"
        assert about["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        expires = {"AttributeName": TTL_ATTRIBUTE, "Enabled": True} if table.expires else None
        assert about["Properties"].get("TimeToLiveSpecification") == expires, table.name
    assert set(boto3.client("dynamodb", REGION).list_tables()["TableNames"]) == {PREFIX + table.name for table in ALL}


@pytest.mark.parametrize("app", App)
def test_a_role_grants_what_its_app_does(app: App, resources: dict[str, str]) -> None:
    """Table by table, and nothing else; the tests of use cases hold every route to the same list."""
    name = resources["SuiteRole" if app is App.ALL else f"{app.capitalize()}Role"]
    granted: dict[str, set[str]] = {}
    for statement in statements(name, "tables"):
        assert statement["Effect"] == "Allow"
        for arn in statement["Resource"]:
            granted.setdefault(arn.rpartition("/")[2], set()).update(statement["Action"])
    assert granted == {
        PREFIX + table.name: {f"dynamodb:{action}" for action in access.value} for table, access in ACCESS[app].items()
    }


def test_the_session_app_can_neither_remove_accounts_nor_look_for_mails() -> None:
    """Who takes over its host gets no further than this; what books carry it must be able to write."""
    session = {table.name: access for table, access in ACCESS[App.SESSION].items()}
    assert "PairingTokensTable" not in session
    assert session["AuditTable"] is session["RevocationsTable"] is session["MailsTable"] is Access.APPEND
    assert session["UsersTable"] is session["DevicesTable"] is Access.UPDATE
    assert session["NamesTable"] is session["DeviceKeysTable"] is Access.READ


@pytest.mark.parametrize("app", App)
def test_every_app_may_lay_down_what_a_book_carries(app: App) -> None:
    """Whatever app changed the account: the next to read its book writes its rows, and looks for a later one there."""
    for table in CARRIED:
        assert {"GetItem", "PutItem"} <= set(ACCESS[app][table].value), table.name


def test_topic_and_bucket_are_for_those_who_use_them(resources: dict[str, str]) -> None:
    """Notices by four apps, certificates by two; the bucket is private, and its objects are encrypted."""
    iam: Any = boto3.client("iam", REGION)
    with_notices, with_certificates = set(), set()
    for app in App:
        role = resources["SuiteRole" if app is App.ALL else f"{app.capitalize()}Role"]
        policies = iam.list_role_policies(RoleName=role)["PolicyNames"]
        with_notices |= {app} if "notices" in policies else set()
        with_certificates |= {app} if "certificates" in policies else set()
    assert with_notices == {App.ALL, App.REGISTRATION, App.DEVICE, App.ADMIN}
    assert with_certificates == {App.ALL, App.DEVICE}
    (published,) = statements(resources["DeviceRole"], "certificates")
    bucket = resources["Bucket"]
    assert published["Resource"] == [f"arn:aws:s3:::{bucket}/ca.pem", f"arn:aws:s3:::{bucket}/crl/*"]
    properties = decode(str(TEMPLATE))[0]["Resources"]["Bucket"]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in properties
    assert resources["Topic"].startswith(f"arn:aws:sns:{REGION}:")


def statements(role: str, policy: str) -> list[Any]:
    """Return the statements of a role's policy."""
    found: Any = boto3.client("iam", REGION).get_role_policy(RoleName=role, PolicyName=policy)
    document = found["PolicyDocument"]
    stated: list[Any] = (ast.literal_eval(document) if isinstance(document, str) else document)["Statement"]
    return stated
