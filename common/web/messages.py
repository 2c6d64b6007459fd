"""What people read: every text of the web layer, in English and Japanese.

Without an `Accept-Language` header the texts that the wire contract quotes stand exactly as quoted, whatever their
language, and all others are English.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from common.errors import Code

Language = str | None
"""`en`, `ja`, or None where the client did not say."""

LANGUAGES = ("en", "ja")


class Text(Struct, frozen=True):
    """One text. `quoted` is the language in which the wire contract quotes it."""

    en: str
    ja: str
    quoted: str = "en"

    def in_language(self, language: Language, extensions: Mapping[str, object]) -> str:
        """Return the text with `{facts}` filled in."""
        chosen = language or self.quoted
        return (self.ja if chosen == "ja" else self.en).format_map(extensions)


class Texts(Struct, frozen=True):
    """A code's title, its detail, and details for its variants."""

    title: Text
    detail: Text
    variants: Mapping[str, Text] | None = None

    def detail_of(self, variant: object) -> Text:
        """Return the detail of a variant, or the general one."""
        return (self.variants or {}).get(str(variant), self.detail)


QUESTION = Text(
    "This account is in use elsewhere. If you log in here, the earlier session is logged out automatically. Continue?",
    "このアカウントは別の場所で使用中です。こちらにログインすると、以前のセッションは自動的にログアウトされます。続けますか？",
    quoted="ja",
)

REGISTERED = Text(
    "Registered. Keep the private keys: they are shown only once.",
    "登録しました。秘密鍵は一度しか表示されません。保管してください。",
)
REGISTERED_OWN = Text("Registered, with the device's own key.", "登録しました。鍵はこの端末だけが持っています。")
LOGGED_IN = Text("Logged in.", "ログインしました。")
CODES_VOID = Text(
    "Logged in. Your recovery codes are void: make new ones.",
    "ログインしました。以前のリカバリーコードは無効になりました。新しいコードを作成してください。",
)

_ENDED = {
    "taken-over": Text("Another device logged in to this account and took this session's place.", "別の端末がこのアカウントにログインし、このセッションは終了しました。"),
    "forced-out": Text("This session was logged out from another device.", "別の端末からログアウトされました。"),
    "evicted": Text("Another device logged in, and the limit of active devices was reached.", "別の端末がログインし、同時利用の上限に達したため終了しました。"),
    "replaced": Text("This device logged in again; its earlier session is over.", "この端末で再度ログインしたため、以前のセッションは終了しました。"),
    "logged-out": Text("This session was logged out.", "ログアウトしました。"),
    "expired": Text("This session was too long without activity, or reached its end.", "有効期限が切れました。"),
    "device-unbound": Text("This device was removed from the account.", "この端末は登録を解除されました。"),
    "password-changed": Text("The password was changed.", "パスワードが変更されました。"),
    "refresh-reused": Text("An old refresh token was used again, so the session was ended.", "古いリフレッシュトークンが再使用されたため、セッションを終了しました。"),
    "revoked": Text("This session was revoked.", "このセッションは取り消されました。"),
    "over-limit": Text("The limit of active devices was lowered.", "同時利用の上限が引き下げられました。"),
}  # fmt: skip

_WEAK = {
    "short": Text("A password has at least 8 characters.", "パスワードは8文字以上にしてください。"),
    "long": Text("A password has at most 1,024 characters.", "パスワードは1,024文字以内にしてください。"),
    "common": Text("This password is among the most common ones.", "よく使われているパスワードです。別のものにしてください。"),
    "personal": Text("The password must not be the username or the mail address.", "ユーザー名やメールアドレスと同じパスワードは使えません。"),
}  # fmt: skip

_CSR = {
    "unreadable": Text("The csr is not one signing request (PKCS #10) in PEM.", "csr がPEM形式の署名要求（PKCS #10）ではありません。"),
    "signature": Text("The csr is not signed by the key that it names.", "csr が、それに含まれる鍵で署名されていません。"),
    "name": Text("The csr names something else: its subject must be empty or CN = username or device_name, without a SAN.", "csr の名前が使えません。subject は空か、CN = username または device_name にし、SAN は付けないでください。"),
    "authority": Text("The csr asks for the powers of an authority.", "csr が認証局の権限を求めています。"),
    "extension": Text("The csr asks for an extension that no device's certificate has.", "csr が端末証明書にない拡張を求めています。"),
}  # fmt: skip

_KEY = {
    "unreadable": Text("The signing key is not a public key (SPKI DER in base64).", "署名鍵が公開鍵（SPKI DERのbase64）ではありません。"),
    "algorithm": Text("A device's signing key is of ML-DSA-87 or of EC on P-256.", "端末の署名鍵は ML-DSA-87 か EC P-256 です。"),
    "kem": Text("A device's KEM key is sntrup761's: 1,158 bytes in base64.", "端末のKEM鍵は sntrup761（1,158バイトのbase64）です。"),
}  # fmt: skip

_MISSING = {
    "registration": Text("username, email, and password are required", "username、email、password は必須です。"),
    "second-device": Text(
        "To register a second device, username and password are required.",
        "2台目端末登録には username と password が必要です",
        quoted="ja",
    ),
}

TEXTS: Mapping[Code, Texts] = {
    Code.INVALID_REQUEST: Texts(
        Text("Invalid request", "リクエストが不正です"),
        Text("The request cannot be read: {problem}.", "リクエストを読み取れません: {problem}"),
    ),
    Code.MISSING_FIELDS: Texts(
        Text("Missing fields", "必須項目がありません"),
        Text("Required: {names}.", "必須項目です: {names}"),
        _MISSING,
    ),
    Code.NOT_SUPPORTED: Texts(
        Text("Not supported", "未対応です"),
        Text("Not supported: {names}.", "この項目には対応していません: {names}"),
    ),
    Code.WEAK_PASSWORD: Texts(
        Text("Weak password", "パスワードが弱すぎます"),
        Text("The password is too weak.", "パスワードが弱すぎます。"),
        _WEAK,
    ),
    Code.QR_INVALID: Texts(
        Text("Invalid QR code", "QRコードが無効です"),
        Text("The QR code is not one of this service, or was altered.", "このサービスのQRコードではないか、改変されています。"),
    ),
    Code.CSR_INVALID: Texts(
        Text("Signing request refused", "署名要求は使えません"),
        Text("The csr cannot be used.", "この csr は使えません。"),
        _CSR,
    ),
    Code.KEY_INVALID: Texts(
        Text("Key refused", "鍵は使えません"),
        Text("The key cannot be used.", "この鍵は使えません。"),
        _KEY,
    ),
    Code.TAKEOVER_INVALID: Texts(
        Text("Invalid takeover token", "切り替えトークンが無効です"),
        Text("The takeover token is not one of this service.", "切り替えトークンが正しくありません。"),
    ),
    Code.BAD_CREDENTIALS: Texts(
        Text("Wrong name or password", "ユーザー名またはパスワードが違います"),
        Text("Password does not match", "ユーザー名またはパスワードが正しくありません。"),
    ),
    Code.OTP_REQUIRED: Texts(
        Text("Code needed", "確認コードが必要です"),
        Text("The password is right; the account also needs a code of its authenticator app.", "パスワードは確認できました。認証アプリの確認コードも必要です。"),
    ),
    Code.OTP_INVALID: Texts(
        Text("Code not valid", "確認コードが正しくありません"),
        Text("The code is wrong, too old, or was used already; wait for the next one.", "確認コードが違うか、期限切れか、使用済みです。次のコードを入力してください。"),
    ),
    Code.RECOVERY_CODE_INVALID: Texts(
        Text("Recovery code not valid", "リカバリーコードが正しくありません"),
        Text("The recovery code is wrong or was used already.", "リカバリーコードが違うか、使用済みです。"),
    ),
    Code.PASSKEY_INVALID: Texts(
        Text("Passkey not valid", "パスキーを確認できません"),
        Text("The passkey is not one of this account, or its answer is too old or was used already; try again.", "このアカウントのパスキーではないか、応答が期限切れまたは使用済みです。もう一度お試しください。"),
    ),
    Code.CERTIFICATE_MISMATCH: Texts(
        Text("Unknown certificate", "クライアント証明書が一致しません"),
        Text("Client certificate fingerprint mismatch", "クライアント証明書のフィンガープリントが一致しません。"),
    ),
    Code.CERTIFICATE_EXPIRED: Texts(
        Text("Certificate expired", "クライアント証明書の期限切れ"),
        Text("The device's certificate has expired.", "端末の証明書の有効期限が切れています。"),
    ),
    Code.CERTIFICATE_REVOKED: Texts(
        Text("Certificate revoked", "クライアント証明書は失効しています"),
        Text("The device was removed and its certificate revoked.", "端末の登録が解除され、証明書は失効しています。"),
    ),
    Code.PROOF_REQUIRED: Texts(
        Text("Proof required", "端末の証明が必要です"),
        Text("This device must prove itself with its key.", "この端末は鍵による証明が必要です。"),
    ),
    Code.PROOF_INVALID: Texts(
        Text("Proof not valid", "端末の証明が正しくありません"),
        Text("The signature is not this device's over this challenge and purpose.", "署名が、この端末の鍵によるこのチャレンジと用途のものではありません。"),
    ),
    Code.CHALLENGE_SPENT: Texts(
        Text("Challenge spent", "チャレンジは使えません"),
        Text("The challenge is unknown, another device's, used, or expired; ask for a new one.", "チャレンジは不明、別の端末のもの、使用済み、または期限切れです。新しいチャレンジを取得してください。"),
    ),
    Code.TOKEN_MISSING: Texts(
        Text("Not signed in", "ログインが必要です"),
        Text("An access token is needed: Authorization: Bearer <token>.", "アクセストークンが必要です。"),
    ),
    Code.INVALID_TOKEN: Texts(
        Text("Invalid token", "トークンが無効です"),
        Text("The token is not one of this service.", "トークンが正しくありません。"),
        {"certificate": Text("It is good only over TLS with the device's certificate.", "端末の証明書による TLS 接続でのみ有効です。")},
    ),
    Code.TOKEN_EXPIRED: Texts(
        Text("Token expired", "トークンの期限切れ"),
        Text("The access token has expired; refresh it.", "アクセストークンの期限が切れました。更新してください。"),
    ),
    Code.INVALID_DPOP_PROOF: Texts(
        Text("DPoP proof invalid", "DPoP の証明が無効です"),
        Text(
            "The token is bound to a key: the request needs a DPoP proof of that key, made for it just now.",
            "このトークンは鍵に結び付けられています。このリクエストのための、その鍵による DPoP の証明が必要です。",
        ),
    ),
    Code.USE_DPOP_NONCE: Texts(
        Text("DPoP nonce needed", "DPoP の nonce が必要です"),
        Text(
            "Repeat the request with a DPoP proof that names the nonce of the header DPoP-Nonce.",
            "ヘッダー DPoP-Nonce の nonce を含む DPoP の証明で、もう一度送ってください。",
        ),
    ),
    Code.SESSION_ENDED: Texts(
        Text("Session ended", "セッションは終了しました"),
        Text("This session has ended.", "このセッションは終了しました。"),
        _ENDED,
    ),
    Code.DEVICE_UNKNOWN: Texts(
        Text("Unknown device", "未登録の端末です"),
        Text("This certificate is not a registered device's of this user.", "この証明書は登録済みの端末のものではありません。"),
    ),
    Code.PAIRING_TOKEN_FOREIGN: Texts(
        Text("Another user's pairing token", "別のユーザーのペアリングトークンです"),
        Text("The pairing token was issued for another user.", "このペアリングトークンは別のユーザーのものです。"),
    ),
    Code.DEVICE_MISMATCH: Texts(
        Text("Another device asked", "要求した端末と異なります"),
        Text("The takeover was asked for by another device, or the device is no longer bound.", "切り替えを要求した端末と異なるか、端末の登録が解除されています。"),
    ),
    Code.FORCE_DISABLED: Texts(
        Text("Force is disabled", "強制ログインは無効です"),
        Text("Forced logins are switched off here; use the takeover.", "強制ログインは無効になっています。切り替えを使ってください。"),
    ),
    Code.APPROVAL_REFUSED: Texts(
        Text("Refused on the active device", "使用中の端末で拒否されました"),
        Text("The active device refused this login. It can be asked again after ten minutes.", "使用中の端末でこのログインは拒否されました。10分後にもう一度確認できます。"),
        {"joining": Text("No active device agreed within 30 seconds. Sign in on one, then ask again; or join with its QR code and the password.", "30秒以内に使用中の端末で承認されませんでした。ログイン中の端末を開いてもう一度試すか、QRコードとパスワードで追加してください。")},
    ),
    Code.DIGITS_WRONG: Texts(
        Text("Other digits", "数字が違います"),
        Text("The other device shows other digits. Tries left: {tries_left}.", "もう一方の端末に表示された数字と違います。残り{tries_left}回です。"),
    ),
    Code.REAUTHENTICATE: Texts(
        Text("Password needed", "パスワードの再入力が必要です"),
        Text("The last password check is too old: send the password with the request.", "パスワードの確認から時間が経っています。パスワードを送ってください。"),
    ),
    Code.ACCOUNT_DISABLED: Texts(
        Text("Account disabled", "アカウントは停止中です"),
        Text("The password is right, but an operator has disabled this account.", "パスワードは確認できましたが、このアカウントは運営者により停止されています。"),
    ),
    Code.ACCOUNT_CLOSED: Texts(
        Text("Account closed", "アカウントは閉鎖されています"),
        Text("The password is right, but this account is closed. It can be reopened until {reopen_until}.", "パスワードは確認できましたが、このアカウントは閉鎖されています。{reopen_until}まで再開できます。"),
    ),
    Code.NOT_FOUND: Texts(
        Text("Not found", "見つかりません"),
        Text("There is nothing here, or it is not yours.", "見つからないか、アクセスできません。"),
    ),
    Code.METHOD_NOT_ALLOWED: Texts(
        Text("Method not allowed", "許可されていないメソッドです"),
        Text("This address does not take that method.", "このアドレスでは使えないメソッドです。"),
    ),
    Code.USERNAME_TAKEN: Texts(
        Text("Username taken", "ユーザー名は使用済みです"),
        Text("This username is taken.", "このユーザー名は既に使われています。"),
    ),
    Code.EMAIL_TAKEN: Texts(
        Text("Mail address taken", "メールアドレスは使用済みです"),
        Text("This mail address is registered already.", "このメールアドレスは既に登録されています。"),
    ),
    Code.KEY_IN_USE: Texts(
        Text("Key in use", "鍵は使用済みです"),
        Text("This key is, or was, another device's; make a new one.", "この鍵は別の端末で使われた鍵です。新しい鍵を作ってください。"),
    ),
    Code.TOO_MANY_DEVICES: Texts(
        Text("Too many devices", "端末数の上限です"),
        Text("An account can have at most {max_devices} devices; remove one first.", "登録できる端末は{max_devices}台までです。先に1台解除してください。"),
    ),
    Code.TOO_MANY_PASSKEYS: Texts(
        Text("Too many passkeys", "パスキー数の上限です"),
        Text("The account has as many passkeys as it may have; remove one first.", "登録できるパスキーの上限に達しています。先に1つ削除してください。"),
    ),
    Code.LAST_DEVICE: Texts(
        Text("Last device", "最後の端末です"),
        Text("The last device of an account cannot be removed.", "最後の端末は解除できません。"),
    ),
    Code.DEVICE_ACTIVE: Texts(
        Text("Another device is active", "他端末がアクティブです"),
        Text("Another device is active. Switch?", "他端末がアクティブです。切り替えますか？", quoted="ja"),
    ),
    Code.OTP_ACTIVE: Texts(
        Text("Codes are on already", "確認コードは設定済みです"),
        Text("This account asks for codes already; switch that off first.", "このアカウントは確認コードを設定済みです。先に解除してください。"),
    ),
    Code.OTP_INACTIVE: Texts(
        Text("Codes are off", "確認コードは設定されていません"),
        Text("This account asks for no codes.", "このアカウントには確認コードが設定されていません。"),
    ),
    Code.PAIRING_TOKEN_SPENT: Texts(
        Text("Pairing token spent", "ペアリングトークンは使えません"),
        Text("The pairing token is unknown, used, expired, or no longer valid; show a new QR code.", "ペアリングトークンは不明、使用済み、または期限切れです。新しいQRコードを表示してください。"),
    ),
    Code.TAKEOVER_SPENT: Texts(
        Text("Takeover token spent", "切り替えトークンは使えません"),
        Text("The takeover token was used, has expired, or the password was changed; log in again.", "切り替えトークンは使用済みか期限切れです。もう一度ログインしてください。"),
    ),
    Code.APPROVAL_SPENT: Texts(
        Text("Nothing waits here", "確認は終了しました"),
        Text("The other device waits no longer, or this session is not asked.", "もう一方の端末は待っていないか、このセッションへの確認ではありません。"),
    ),
    Code.ENROLMENT_SPENT: Texts(
        Text("Set-up spent", "設定をやり直してください"),
        Text("The set-up is not one of this account, has expired, or was overtaken; begin anew.", "設定がこのアカウントのものではないか、期限切れか、無効です。最初からやり直してください。"),
    ),
    Code.PASSWORD_RESET_REQUIRED: Texts(
        Text("A new password is needed", "パスワードの再設定が必要です"),
        Text(
            "Changes of this account were taken back; it opens again once a new password is set.",
            "アカウントへの変更が取り消されました。新しいパスワードを設定すると、ログインできます。",
        ),
    ),
    Code.LINK_SPENT: Texts(
        Text("Link no longer good", "リンクは無効です"),
        Text("The link was used or has expired; ask for a new one.", "リンクは使用済みか、期限切れです。もう一度お手続きください。"),
    ),
    Code.INVITATION_SPENT: Texts(
        Text("Invitation used or expired", "招待が無効です"),
        Text("The invitation was used or has expired; ask for a new one.", "招待は使用済みか、期限切れです。新しい招待を受け取ってください。"),
    ),
    Code.REQUEST_TIMEOUT: Texts(
        Text("The request took too long", "リクエストの受信に時間がかかりすぎました"),
        Text(
            "The whole body did not arrive in time; send the request again.",
            "リクエスト本文が時間内に届きませんでした。もう一度送ってください。",
        ),
    ),
    Code.BODY_TOO_LARGE: Texts(
        Text("Body too large", "本文が大きすぎます"),
        Text("A request body has at most 64 KiB.", "リクエスト本文は64 KiBまでです。"),
    ),
    Code.UNSUPPORTED_MEDIA_TYPE: Texts(
        Text("Unsupported media type", "対応していない形式です"),
        Text("Send the body as application/json.", "本文は application/json で送ってください。"),
    ),
    Code.HEAD_TOO_LARGE: Texts(
        Text("Headers too large", "ヘッダーが大きすぎます"),
        Text(
            "The request line and the headers together are longer than this server takes.",
            "リクエスト行とヘッダーの合計が、このサーバーの上限を超えています。",
        ),
    ),
    Code.TOO_MANY_ATTEMPTS: Texts(
        Text("Too many attempts", "試行回数が多すぎます"),
        Text("Too many wrong passwords; try again in {retry_after} seconds.", "パスワードの誤りが多すぎます。{retry_after}秒後にやり直してください。"),
        {
            "otp": Text("Too many wrong codes; try again in {retry_after} seconds, or use a recovery code.", "確認コードの誤りが多すぎます。{retry_after}秒後にやり直すか、リカバリーコードを使ってください。"),
            "admin-key": Text("Too many wrong admin keys; try again in {retry_after} seconds.", "管理キーの誤りが多すぎます。{retry_after}秒後にやり直してください。"),
            "renewal": Text("It was renewed too often; wait {retry_after} seconds.", "更新の回数が多すぎます。{retry_after}秒後にやり直してください。"),
        },
    ),
    Code.TOO_MANY_REGISTRATIONS: Texts(
        Text("Too many registrations", "登録が多すぎます"),
        Text("Too many accounts were registered; try again in {retry_after} seconds.", "アカウントの登録が多すぎます。{retry_after}秒後にやり直してください。"),
    ),
    Code.REGISTRATION_CLOSED: Texts(
        Text("Registration closed", "新規登録は受け付けていません"),
        Text("Accounts cannot be registered here.", "ここではアカウントを登録できません。"),
    ),
    Code.ADMIN_KEY_INVALID: Texts(
        Text("Admin key not accepted", "管理キーが無効です"),
        Text("There is no such admin key, or it has expired or was revoked.", "管理キーが正しくないか、期限切れ、または取り消されています。"),
    ),
    Code.ROLE_TOO_LOW: Texts(
        Text("Not for this admin key", "この管理キーではできません"),
        Text("This needs an admin key of another role.", "この操作には、別の権限の管理キーが必要です。"),
    ),
    Code.FOREIGN_REQUEST: Texts(
        Text("Foreign request", "許可されていないアドレスです"),
        Text("This app answers at its own address alone: see ICHIDAI_ADMIN_URL.", "このアプリは自身のアドレスでのみ応答します（ICHIDAI_ADMIN_URL）。"),
    ),
    Code.WORK_REQUIRED: Texts(
        Text("Proof of work required", "計算による証明が必要です"),
        Text("Many accounts were registered from here: solve the challenge and send the solution as work.", "同じ接続元からの登録が続いています。challenge を解き、結果を work として送ってください。"),
    ),
    Code.TOO_MANY_STREAMS: Texts(
        Text("Too many streams", "ストリームが多すぎます"),
        Text("Too many event streams are open from here already; close one.", "開いているイベントストリームが多すぎます。1つ閉じてください。"),
    ),
    Code.SERVED_ELSEWHERE: Texts(
        Text("Served elsewhere", "別のアドレスで提供しています"),
        Text("Event streams are served at another address: events_endpoint in /.well-known/ichidai.json.", "イベントストリームは別のアドレス（/.well-known/ichidai.json の events_endpoint）で提供しています。"),
    ),
    Code.STORE_UNAVAILABLE: Texts(
        Text("Temporarily unavailable", "一時的に利用できません"),
        Text("The store cannot be reached just now; try again soon.", "ストアに接続できません。しばらくしてやり直してください。"),
    ),
    Code.BUSY: Texts(
        Text("Too busy", "混み合っています"),
        Text("Too much is happening to this account at once; try again.", "処理が集中しています。やり直してください。"),
        {
            "streams": Text("Too many event streams are open; try again later.", "開いているイベントストリームが多すぎます。しばらくしてやり直してください。"),
            "passwords": Text("Many people are logging in at this moment; try again shortly.", "ただいまログインが集中しています。少し待ってやり直してください。"),
        },
    ),
    Code.INTERNAL_ERROR: Texts(
        Text("Internal error", "内部エラー"),
        Text("Something went wrong here; it has been logged.", "内部でエラーが発生しました。"),
    ),
}  # fmt: skip
