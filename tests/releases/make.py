"""Make a data folder of a release, to be opened by every later one: `python -m tests.releases.make TREE FOLDER`.

TREE is a checkout of the release (`git worktree add --detach TREE v0.1.0`); its own server is started and is spoken
to by the wire contract alone, so that this script serves every release. (A copy of the repository without that tag has
the last tree of its schema at 3c6ba74.) FOLDER then holds the SQLite file, the keys,
and `story.json`: what the clients were told, their private keys included. All of them are nobody's.

`python -m tests.releases.make code COMMIT ARCHIVE` packs the server's own code of a commit, for tests that run it
(`test_release_0_1_0.py`): `ichidai-0.1.0.zip` is of 3c6ba74.
"""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from requests import RequestException

from tests.support.authenticator import scanned
from tests.support.client import PASSWORD, Account, Client, Device, granted, refused
from tests.support.dpop import DpopKey
from tests.support.ports import free_port
from tests.support.servers import environment, until
from tests.support.signing import PrivateKey, b64, enrolling, given_keys, p256_keys

ISSUER = "https://accounts.example.test"
PACKAGES = ("common", "registration", "login_app", "session_manager", "device_manager", "ichidai")
_NOT_THE_SERVERS = ("ichidai/client/", "ichidai/console/static/")
"""What of the packages no test of a server's data needs; the second is a third of the archive."""
ODD = "Zoë ﬁ 名前 ☕'\"<b>&;--"
"""A name that is folded, quoted and escaped wherever it can be."""

Story = dict[str, Any]


@contextmanager
def serving(tree: Path, data: Path) -> Iterator[Client]:
    """Run the server of the release on a data folder."""
    port = free_port()
    own = {"ICHIDAI_DATA_DIR": str(data), "ICHIDAI_ISSUER": ISSUER, "ICHIDAI_PUBLIC_URL": ISSUER}
    settings = {**environment({**own, "ICHIDAI_EVENTS_PORT": "off"}), "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "ichidai", "serve", "all", "--port", str(port)]
    client = Client({"all": f"http://127.0.0.1:{port}"})

    def answers() -> bool:
        try:
            return client.get("/health").status_code == 200
        except RequestException:
            return False

    with subprocess.Popen(
        command, env=settings, cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            until(answers, "the release answers")
            yield client
        finally:
            server.terminate()


def private(key: PrivateKey) -> str:
    """Return a private key as base64 of PKCS #8 DER."""
    encoding, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    return b64(key.private_bytes(encoding, form, serialization.NoEncryption()))


def told(account: Account, **more: object) -> Story:
    """Return what a client knows of an account."""
    who = {"uuid": account.uuid, "username": account.username, "email": account.email, "password": account.password}
    return {**who, "devices": {"phone": device(account.phone)}, **more}


def device(its: Device) -> Story:
    """Return what a device knows of itself."""
    keys = {"signing": its.answer["private_keys"]["signing"]} if "private_keys" in its.answer else {}
    return {"device_id": its.device_id, "fingerprint": its.fingerprint, **keys}


def asked(account: Account, purpose: str, **more: object) -> Any:
    """Return a challenge for the phone."""
    body = account.credentials | account.phone.proof | {"purpose": purpose, **more}
    return granted(account.client.post("/login/challenge", body))


def with_a_session(client: Client, username: str, **fields: object) -> Story:
    """One device, logged in twice and refreshed, a wrong password, a pairing token and a challenge that are open."""
    account = client.register(username, email=f"{username.split(maxsplit=1)[0]}@example.test", **fields)
    account.login()
    refused(
        client.post("/login", {**account.credentials, **account.phone.proof, "password": "wrong one"}),
        401,
        "bad-credentials",
    )
    tokens = granted(client.refresh(account.login().refresh))
    granted(client.verify(tokens["access_token"]))
    pairing, challenge = account.pairing(), asked(account, "login")
    text = given_keys(account.phone.answer).read(challenge)
    return told(account, session=tokens, qr_code=pairing["qr_code"], challenge={**challenge, "text": text})


def taken_over(client: Client) -> Story:
    """Two devices: the laptop took over from the phone, which is asked now."""
    account = client.register("ben", email="ben@example.test")
    first, laptop = account.login(), account.pair()
    question = account.question(laptop)
    body = {"takeover_token": question["takeover"]["token"], **laptop.proof}
    second = granted(client.post("/login/takeover", body))
    story = told(account, session=second, evicted={"access_token": first.access, "refresh_token": first.refresh})
    story["devices"]["laptop"] = device(laptop)
    return {**story, "question": account.question(account.phone)["takeover"]["token"]}


def second_factor(client: Client) -> Story:
    """A second factor that is on, one code and one recovery code of it used up."""
    account = client.register("dora", email="dora@example.test")
    session = account.login()
    begun = granted(client.post("/registration/otp/begin", {"password": account.password}, token=session.access))
    app, now = scanned(begun["uri"]), datetime.now(UTC)
    body = {"enrolment": begun["enrolment"], "otp": app.code(now, -1)}
    codes = granted(client.post("/registration/otp/confirm", body, token=session.access))["recovery_codes"]
    used = app.code(now)
    tokens = granted(account.try_login(otp=used))
    account_of = {**account.credentials, **account.phone.proof, "otp": codes[0]}
    granted(client.post("/registration/request_pairing_token", account_of))
    return told(account, session=tokens, secret=b64(app.secret), recovery_codes=codes, used_code=used)


def unbound(client: Client) -> Story:
    """Three devices: one was unbound, one has a certificate that was revoked."""
    account = client.register("emil", email="emil@example.test")
    laptop, tablet, session = account.pair(), account.pair("Tablet"), account.login()
    call = account.client.post
    granted(call("/device/unbind", {"device_id": laptop.device_id}, token=session.access))
    granted(call("/device/revoke_certificate", {"device_id": tablet.device_id}, token=session.access))
    story = told(account, session=session.answer)
    story["devices"] |= {"laptop": device(laptop), "tablet": device(tablet)}
    return story


def answer_lost(client: Client) -> Story:
    """A registration whose answer was lost: it may be repeated under its idempotency key."""
    body = {"username": "hana", "email": "hana@example.test", "password": PASSWORD, "device_name": "Phone"}
    granted(client.post("/registration/", body, headers={"Idempotency-Key": "a key of hana's"}))
    return {"registration": body, "idempotency_key": "a key of hana's"}


def own_keys(client: Client) -> Story:
    """A device that made its key itself."""
    keys = p256_keys()
    body = enrolling(keys, "fay", issuer=ISSUER)
    account = client.register("fay", email="fay@example.test", device_name="Browser", **body)
    proof = keys.proof(asked(account, "login"), "login", account.uuid, account.phone.device_id)
    tokens = granted(client.post("/login/verify", proof))
    story = told(account, session=tokens)
    story["devices"]["phone"]["signing"] = private(keys.signing)
    return story


def bound_tokens(client: Client) -> Story:
    """A session whose tokens are bound to a key (DPoP)."""
    account, key = client.register("gus", email="gus@example.test"), DpopKey()
    body = {**account.credentials, **account.phone.proof}
    tokens = granted(client.post("/login", body, headers={"DPoP": key.proof("POST", f"{ISSUER}/login")}))
    return told(account, session=tokens, dpop=private(key.key.private))


def stories(client: Client) -> Mapping[str, Story]:
    """Make all accounts."""
    return {
        "ben": taken_over(client),
        "dora": second_factor(client),
        "emil": unbound(client),
        "fay": own_keys(client),
        "hana": answer_lost(client),
        "gus": bound_tokens(client),
        "odd": with_a_session(client, ODD, device_name="電話 ☎ <i>"),
        "anna": with_a_session(client, "anna"),  # the last one: its challenge is good for a minute
    }


def main(tree: Path, folder: Path) -> None:
    """Make the folder. What SQLite has written beside its file is brought into it."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        with serving(tree.resolve(), data) as client:
            accounts = stories(client)
            made_at = datetime.now(UTC)
        time.sleep(0.1)
        file = data / "ichidai.sqlite"
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        folder.mkdir(parents=True)
        shutil.move(file, folder / "ichidai.sqlite")
        shutil.move(data / "keys", folder / "keys")
    story = {"made_at": made_at.isoformat(), "issuer": ISSUER, "accounts": accounts}
    (folder / "story.json").write_text(json.dumps(story, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def pack(commit: str, archive: Path) -> None:
    """Pack what of a commit's code a server needs: the same bytes each time, for its files have no times."""
    command = ["git", "archive", "--format=tar", commit, "--", *PACKAGES]
    tree = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tree)) as files, zipfile.ZipFile(archive, "w") as packed:
        for file in files:
            text = files.extractfile(file)
            if text is not None and not file.name.startswith(_NOT_THE_SERVERS):
                packed.writestr(zipfile.ZipInfo(file.name), text.read(), zipfile.ZIP_DEFLATED, compresslevel=9)


if __name__ == "__main__" and sys.argv[1] == "code":
    pack(sys.argv[2], Path(sys.argv[3]))
elif __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
