"""What goes out to the person: the picture of a QR code, and the notice of a registration by SNS."""

from __future__ import annotations

import base64
import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

MOST_WAITING = 100
_PIXELS = 6
"""Of each side of a module of a QR code."""
_QUICKLY = 1
"""Of zlib's levels: a picture of so few shapes is small at any."""

_log = logging.getLogger(__name__)


class Notifier(Protocol):
    """Tells a person something, out of band."""

    def notify(self, subject: str, message: str) -> None:
        """Send it, or log why not. Never raises: a notice is never in the way of what it tells of."""


class NoNotifier:
    """Sends nothing: what is used while no topic is set."""

    def notify(self, subject: str, message: str) -> None:
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
        import boto3  # noqa: PLC0415 - only where a topic is set
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
        try:
            client = boto3.client("sns", region_name=self._region or None, config=quick)
            client.publish(TopicArn=self._topic_arn, Subject=subject, Message=message)
        except (BotoCoreError, ClientError) as error:
            _log.warning(
                "no notice was sent: %s. Check SNS_TOPIC_ARN, AWS_REGION and the credentials; "
                "unset SNS_TOPIC_ARN (or set it to dummy) to send none.",
                error,
            )
        finally:
            self._waiting.release()


def notifier_for(topic_arn: str, region: str) -> Notifier:
    """Return what sends notices: nothing for an unset topic or `dummy`."""
    return NoNotifier() if topic_arn in ("", "dummy") else SnsNotifier(topic_arn, region)


def notify_user_via_sns(notifier: Notifier, username: str) -> None:
    """Tell that an account was registered; no secret and no id goes out."""
    notifier.notify("Ichidai: registered", f"The account {username!r} was registered with its first device.")


def qr_png(text: str) -> str:
    """Return a PNG data URI whose QR code (ISO/IEC 18004, error correction M) holds `text`."""
    import zxingcpp  # noqa: PLC0415 - with what draws pictures; a server starts without
    from PIL import Image  # noqa: PLC0415

    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    modules = Image.fromarray(zxingcpp.write_barcode_to_image(code)).convert("1")
    buffer = io.BytesIO()
    modules.resize((modules.width * _PIXELS, modules.height * _PIXELS)).save(buffer, "PNG", compress_level=_QUICKLY)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
