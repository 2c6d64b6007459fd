"""What mails say, in Japanese and English, as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage

from common.web.messages import Text
from registration.mail_model import MailKind, QueuedMail

SUBJECTS: Mapping[MailKind, Text] = {
    MailKind.CONFIRM: Text("Confirm your mail address", "メールアドレスの確認"),
    MailKind.RESET: Text("Choose a new password", "パスワードの再設定"),
    MailKind.CHANGE: Text("Confirm your new mail address", "新しいメールアドレスの確認"),
    MailKind.TAKEN: Text("Your mail address belongs to your account already", "メールアドレスは登録済みです"),
    MailKind.NOTICE: Text("Something was changed in your account", "アカウントに変更がありました"),
    MailKind.ACTED: Text("Something was changed in your account", "アカウントに変更がありました"),
}

BODIES: Mapping[MailKind, Text] = {
    MailKind.CONFIRM: Text(
        "Hello {username},\n\nplease confirm that this mail address is yours. The link is good for 24 hours.",
        "{username} 様\n\n下のリンクを開いて、メールアドレスを確認してください。リンクの有効期限は24時間です。",
    ),
    MailKind.RESET: Text(
        "Hello {username},\n\na new password was asked for. The link is good for 15 minutes and works once.",
        "{username} 様\n\nパスワードの再設定が要求されました。リンクの有効期限は15分で、一度だけ使えます。",
    ),
    MailKind.CHANGE: Text(
        "Hello {username},\n\nthis shall be the mail address of your account. Please confirm it within 24 hours.",
        "{username} 様\n\nこのメールアドレスをアカウントに登録するには、24時間以内に下のリンクから確認してください。",
    ),
    MailKind.TAKEN: Text(
        "Hello {username},\n\nanother account wanted to use this mail address, which is yours. Nothing was changed.",
        "{username} 様\n\n別のアカウントがこのメールアドレスを登録しようとしました。変更はありません。",
    ),
    MailKind.NOTICE: Text(
        "Hello {username},\n\n{what}\n\n{at} · {device} · {ip}",
        "{username} 様\n\n{what}\n\n{at} · {device} · {ip}",
    ),
    MailKind.ACTED: Text(
        "Hello {username},\n\n{what}\n\n{at} · {device}",
        "{username} 様\n\n{what}\n\n{at} · {device}",
    ),
}

ENDINGS: Mapping[MailKind, Text] = {
    MailKind.CONFIRM: Text(
        "If you did not register, ignore this mail: without a confirmation this address gets no other.",
        "お心当たりがない場合は、このメールを破棄してください。確認されない限り、ほかのメールは届きません。",
    ),
    MailKind.RESET: Text(
        "If you did not ask for it, ignore this mail: your password stays as it is.",
        "お心当たりがない場合は、このメールを破棄してください。パスワードは変更されません。",
    ),
    MailKind.CHANGE: Text(
        "If you have no such account, ignore this mail.",
        "お心当たりがない場合は、このメールを破棄してください。",
    ),
    MailKind.TAKEN: Text("There is nothing that you have to do.", "お手続きは必要ありません。"),
    MailKind.NOTICE: Text(
        "If that was you, there is nothing to do. If not, open the link within seven days: it takes the change back.",
        "ご本人の操作であれば、お手続きは不要です。心当たりがない場合は、7日以内にリンクを開くと変更を取り消せます。",
    ),
    MailKind.ACTED: Text(
        "If you do not know why, ask those who run this service.",
        "お心当たりがない場合は、サービスの運営者にお問い合わせください。",
    ),
}

ANCHORS: Mapping[MailKind, Text] = {
    MailKind.NOTICE: Text("That was not me", "心当たりがない"),
}
"""What a link is called where it is not the subject."""

ASIDE = Text(
    "This is not my account: take the address off it", "自分のアカウントではない：このアドレスの登録を取り消す"
)

TOLD: Mapping[str, Text] = {
    "device-added": Text("A device was added.", "端末が追加されました。"),
    "taken-over": Text("Another device took the place of yours.", "別の端末でのログインに切り替えられました。"),
    "refresh-reused": Text(
        "An old copy of a login was used, and the login was ended.",
        "古いログイン情報が使われたため、ログアウトしました。",
    ),
    "new-place": Text("There was a login from a new place.", "新しい場所からログインがありました。"),
    "password-changed": Text("The password was changed.", "パスワードが変更されました。"),
    "email-changed": Text("The mail address was changed.", "メールアドレスが変更されました。"),
    "username-changed": Text("The username was changed.", "ユーザー名が変更されました。"),
    "otp-enabled": Text("Two-step login was turned on.", "2段階認証が有効になりました。"),
    "otp-disabled": Text("Two-step login was turned off.", "2段階認証が無効になりました。"),
    "passkey-added": Text("A passkey was added.", "パスキーが追加されました。"),
    "passkey-removed": Text("A passkey was removed.", "パスキーが削除されました。"),
    "recovery-codes-renewed": Text("New recovery codes were made.", "リカバリーコードが発行されました。"),
    "account-disabled": Text(
        "The account was disabled, and you were signed out everywhere.",
        "アカウントが停止され、すべての端末でログアウトしました。",
    ),
    "account-enabled": Text("The account may be used again.", "アカウントの停止が解除されました。"),
    "device-removed": Text("A device was removed.", "端末が解除されました。"),
    "signed-out": Text("You were signed out everywhere.", "すべての端末でログアウトしました。"),
    "by-operator": Text("An operator of the service did this.", "サービスの運営者による操作です。"),
    "by-objection": Text(
        "“That was not me” was said of what was done before, and took it back.",
        "「心当たりがない」という申告により、それまでの変更が取り消されました。",
    ),
    "account-closed": Text(
        "The account was closed. For some days it can be reopened: log in, and you are asked.",
        "アカウントが閉鎖されました。しばらくの間は、ログイン画面から再開できます。",
    ),
    "account-reopened": Text("The account was reopened.", "アカウントが再開されました。"),
    "recovery-code-used": Text("A recovery code was used.", "リカバリーコードが使われました。"),
}
"""What a notice tells of, by the words of `notices.told_in`."""


class UnsendableMail(Exception):
    """No mail can have this address."""


def composed(mail: QueuedMail, sender: str) -> EmailMessage:
    """Return a mail ready to be sent. Its Message-ID is the same at every try. Raises UnsendableMail."""
    facts = {**mail.facts, "username": mail.username, "what": _what(mail)}
    body, ending, subject = (
        texts[mail.kind].in_language(mail.language, facts) for texts in (BODIES, ENDINGS, SUBJECTS)
    )
    aside = f"{ASIDE.in_language(mail.language, {})}:\n{mail.aside}" if mail.aside else ""
    message = EmailMessage()
    message["Subject"] = f"Ichidai: {subject}"
    message["From"], message["To"] = _address(sender), _address(mail.to)
    message["Message-ID"] = f"<{mail.mail_id}@{sender.rpartition('@')[2]}>"
    message["Content-Language"] = mail.language
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(part for part in (body, mail.link, ending, aside) if part) + "\n")
    message.add_alternative(_document(mail, body, ending, subject), subtype="html")
    return message


def _what(mail: QueuedMail) -> str:
    """Return what a notice tells of, a line for each."""
    words = mail.facts.get("what", "").split()
    return "\n".join(TOLD[word].in_language(mail.language, {}) for word in words if word in TOLD)


def _links(mail: QueuedMail, subject: str) -> Mapping[str, str]:
    """Return the links of a mail, each with what it is called."""
    links = {mail.link: ANCHORS[mail.kind].in_language(mail.language, {}) if mail.kind in ANCHORS else subject}
    links[mail.aside] = ASIDE.in_language(mail.language, {})
    return {link: words for link, words in links.items() if link}


def _document(mail: QueuedMail, body: str, ending: str, subject: str) -> str:
    paragraphs = "".join(f"<p>{html.escape(part).replace(chr(10), '<br>')}</p>" for part in body.split("\n\n"))
    (first, *rest) = [
        f'<p><a href="{html.escape(link)}">{html.escape(words)}</a></p>'
        for link, words in _links(mail, subject).items()
    ] or [""]
    return (
        f'<!doctype html><html lang="{mail.language}"><body>{paragraphs}{first}'
        f"<p>{html.escape(ending)}</p>{''.join(rest)}</body></html>\n"
    )


def _address(text: str) -> Address:
    try:
        return Address(addr_spec=text)
    except Exception as error:  # whatever Python's parser meets: its own errors, and those of its code
        raise UnsendableMail from error
