"""What goes out to the user: the picture of a QR code, and the notice of each new device by SNS."""

from __future__ import annotations

import base64
import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from common.account.history import OperatorAct
from common.metrics import counter

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

MOST_WAITING = 100
_PIXELS = 6
"""Of each side of a module of a QR code."""
_QUICKLY = 1
"""Of zlib's levels: a picture of so few shapes is small at any."""

NO_TOPIC = ("", "dummy")
"""Values of SNS_TOPIC_ARN that mean: send nothing."""

_CHECK = (
    "Check SNS_TOPIC_ARN, AWS_REGION and the credentials; unset SNS_TOPIC_ARN (or set it to dummy) to send no notices."
)

NOTICES = counter(
    "ichidai_notices_total",
    "Notices and mails. failed: not sent, mails are tried again; dropped: given up.",
    channel=("sns", "mail"),
    outcome=("sent", "failed", "dropped"),
)

_log = logging.getLogger(__name__)


class Notifier(Protocol):
    """Tells a user something, out of band."""

    def notify(self, subject: str, message: str) -> None:
        """Send it, or log why not. Never raises: a notice is never in the way of what it tells of."""

    def close(self) -> None:
        """Wait until what is under way has been sent or given up."""


class NoNotifier:
    """Sends nothing: what is used while no topic is set."""

    def notify(self, subject: str, message: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class SnsNotifier:
    """Publishes to an SNS topic from a thread of its own, so that no request waits for it and no failure reaches one.

    The client is made at the first notice: a start needs no AWS. At most MOST_WAITING notices wait; more are dropped.
    """

    def __init__(self, topic_arn: str, region: str) -> None:
        self._topic_arn = topic_arn
        self._region = region
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sns")
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def notify(self, subject: str, message: str) -> None:
        """See `Notifier.notify`."""
        if not self._waiting.acquire(blocking=False):
            NOTICES.add("sns", "dropped")
            _log.warning("a notice was dropped: %d are waiting for SNS already", MOST_WAITING)
            return
        self._sender.submit(self._publish, subject, message)

    def close(self) -> None:
        """Wait until what is under way has been sent or given up."""
        self._sender.shutdown(wait=True)

    def discard(self) -> None:
        """Forget what waits; only the notice under way is waited for."""
        self._sender.shutdown(wait=True, cancel_futures=True)

    def _publish(self, subject: str, message: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only where a topic is set

        try:
            client = _client(self._region)
            client.publish(TopicArn=self._topic_arn, Subject=subject, Message=message)
        except (BotoCoreError, ClientError) as error:
            NOTICES.add("sns", "failed")
            _log.warning("no notice was sent: %s. %s", error, _CHECK)
        else:
            NOTICES.add("sns", "sent")
        finally:
            self._waiting.release()


def topic_fault(topic_arn: str, region: str) -> str | None:
    """Ask SNS for the topic; return what is wrong, or None for a good one and where none is set.

    A server that may publish and may not ask is none the wiser: then None, too.
    """
    if topic_arn in NO_TOPIC:
        return None
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only where a topic is set

    try:
        _client(region).get_topic_attributes(TopicArn=topic_arn)
    except ClientError as error:
        is_hidden = error.response.get("Error", {}).get("Code") in ("AuthorizationError", "AccessDenied")
        return None if is_hidden else f"No notice will be sent: {error}. {_CHECK}"
    except BotoCoreError as error:
        return f"No notice will be sent: {error}. {_CHECK}"
    return None


def _client(region: str) -> SNSClient:
    import boto3  # noqa: PLC0415 - only where a topic is set
    from botocore.config import Config  # noqa: PLC0415

    quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    return boto3.client("sns", region_name=region or None, config=quick)


def notifier_for(topic_arn: str, region: str) -> Notifier:
    """Return what sends notices: nothing for an unset topic or `dummy`."""
    return NoNotifier() if topic_arn in NO_TOPIC else SnsNotifier(topic_arn, region)


def notify_user_via_sns(notifier: Notifier, username: str, device_name: str) -> None:
    """Tell that an account was registered; no secret and no id goes out."""
    text = f"The account {username!r} was registered with its first device, {device_name!r}."
    notifier.notify("Ichidai: registered", text)


def notify_of_device(notifier: Notifier, username: str, device_name: str) -> None:
    """Tell that another device joined an account; no secret and no id goes out."""
    notifier.notify("Ichidai: new device", f"The device {device_name!r} was added to the account {username!r}.")


_ACTS = {
    OperatorAct.CREATE: "was created",
    OperatorAct.DISABLE: "was disabled, and all its sessions have ended",
    OperatorAct.CLOSE: "was closed, and all its sessions have ended",
    OperatorAct.ENABLE: "may be used again",
    OperatorAct.END_SESSIONS: "was signed out everywhere",
    OperatorAct.UNBIND: "lost one of its devices",
    OperatorAct.SET_PASSWORD: "has a new password, and all its sessions have ended",
    OperatorAct.RESET_OTP: "no longer asks for codes",
}


def notify_of_act(notifier: Notifier, username: str, act: OperatorAct) -> None:
    """Tell that an operator acted on an account; no secret, no id and none of the operator's words goes out."""
    if act in _ACTS:
        notifier.notify("Ichidai: an operator acted", f"The account {username!r} {_ACTS[act]}: an operator did it.")


def qr_png(text: str) -> str:
    """Return a PNG data URI whose QR code (ISO/IEC 18004, error correction M) holds `text`."""
    import zxingcpp  # noqa: PLC0415 - with what draws pictures; a server starts without
    from PIL import Image  # noqa: PLC0415

    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    modules = Image.fromarray(zxingcpp.write_barcode_to_image(code)).convert("1")
    buffer = io.BytesIO()
    modules.resize((modules.width * _PIXELS, modules.height * _PIXELS)).save(buffer, "PNG", compress_level=_QUICKLY)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
