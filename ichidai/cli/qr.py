"""A QR code in a terminal."""

from __future__ import annotations

import io

import qrcode
from qrcode.constants import ERROR_CORRECT_L
from rich.text import Text


def qr_picture(text: str) -> Text:
    """Draw a QR code in half blocks, black on white whatever the terminal's colours are."""
    code, drawn = qrcode.QRCode(error_correction=ERROR_CORRECT_L, border=2), io.StringIO()
    code.add_data(text)
    code.print_ascii(out=drawn)
    return Text(drawn.getvalue().rstrip("\n"), "black on white", no_wrap=True)
