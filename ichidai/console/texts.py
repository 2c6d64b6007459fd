"""What the pages say, in English and Japanese. What a call answers is told in the server's own words, not in these."""

from __future__ import annotations

from collections.abc import Mapping

from common.web.messages import Text

TEXTS: Mapping[str, Text] = {
    # every page
    "navigation": Text("Pages", "ページ"),
    "no_script": Text("These pages need JavaScript.", "このページには JavaScript が必要です。"),
    "unreachable": Text(
        "The server cannot be reached. Try again soon.",
        "サーバーに接続できません。しばらくしてからもう一度お試しください。",
    ),
    "unreadable": Text("The server gave an answer that cannot be read.", "サーバーの応答を読み取れません。"),
    "username": Text("Username", "ユーザー名"),
    "email": Text("Email", "メールアドレス"),
    "password": Text("Password", "パスワード"),
    "device_name": Text("Device name", "端末名"),
    "fingerprint": Text("Certificate fingerprint", "証明書のフィンガープリント"),
    "unknown_device": Text("a device without a name", "名前のない端末"),
    # the titles of the pages
    "home_title": Text("One account, one device at a time", "ひとつのアカウント、一度に一台"),
    "registration_title": Text("Register", "ユーザー登録"),
    "login_title": Text("Log in", "ログイン"),
    # home
    "home_lead": Text(
        "Accounts with devices. When one device too many logs in, the person is asked first; on consent the earlier "
        "device is out at its very next request.",
        "端末を登録して使うアカウントです。上限を超える端末がログインするときは、まず確認します。"
        "続けると、以前の端末は次の要求からすぐに使えなくなります。",
    ),
    "home_register": Text("Make an account and register this device.", "アカウントを作り、この端末を登録します。"),
    "home_join": Text(
        "Add this device to an account you have: paste the code another device shows.",
        "別の端末に表示されたコードを使って、この端末を既存のアカウントに追加します。",
    ),
    "home_login": Text("With a device that is registered.", "登録済みの端末でログインします。"),
    "home_api": Text("For developers: every route of the API", "開発者の方へ：APIの説明"),
    # register and join
    "register": Text("Register", "登録する"),
    "password_hint": Text("At least 8 characters.", "8文字以上で入力してください。"),
    "device_name_hint": Text(
        "Optional. Shown in your list of devices, for example “My phone”.",
        "任意。端末の一覧に表示されます（例：自分のスマホ）。",
    ),
    "have_account": Text("You have an account already?", "アカウントをお持ちの場合"),
    "join": Text("Join with a QR code", "QRコードで参加"),
    "join_lead": Text(
        "On a device that is registered choose “Add a device”, scan the QR code it shows, and paste its text here.",
        "登録済みの端末で「端末を追加」を選び、表示されたQRコードを読み取って、その文字列をここに貼り付けてください。",
    ),
    "join_submit": Text("Join", "参加する"),
    "qr_text": Text("QR code text", "QRコードの文字列"),
    "no_account": Text("No account yet?", "アカウントをお持ちでない場合"),
    "to_registration": Text("Make an account", "新しく登録"),
    "done_title": Text("This device is registered", "この端末を登録しました"),
    "remembered": Text(
        "This browser remembers the fingerprint and fills it in when you log in.",
        "フィンガープリントはこのブラウザに保存され、ログイン時に自動で入力されます。",
    ),
    "keys_title": Text("Private keys", "秘密鍵"),
    "keys_lead": Text(
        "They were made for this device, are kept nowhere else, and are gone when you leave this page. Keep the file "
        "where only you can read it.",
        "この端末のために作られた鍵で、ほかのどこにも保存されません。このページを離れると失われます。"
        "自分だけが読める場所にファイルを保管してください。",
    ),
    "save_keys": Text("Save the private keys", "秘密鍵を保存"),
    "keys_saved": Text("The file was handed to the browser to save.", "ファイルの保存をブラウザに依頼しました。"),
    # a pairing code
    "pairing_title": Text("A code for another device", "別の端末を追加するコード"),
    "pairing_lead": Text(
        "Whoever has this code also needs your username and password. It works once, until:",
        "このコードのほかに、ユーザー名とパスワードも必要です。一度だけ使えます。有効期限：",
    ),
    "qr_picture": Text("QR code that lets another device join", "別の端末を追加するためのQRコード"),
    "copy": Text("Copy the text", "文字列をコピー"),
    "copied": Text("Copied.", "コピーしました。"),
    "pairing_over": Text(
        "The code has expired. Show a new one.", "コードの期限が切れました。新しいコードを表示してください。"
    ),
    # log in
    "log_in": Text("Log in", "ログイン"),
    "fingerprint_hint": Text(
        "Filled in by itself where you registered; on another browser, paste it.",
        "登録したブラウザでは自動で入力されます。別のブラウザでは貼り付けてください。",
    ),
    "memory_hint": Text(
        "What opens your account stays in this page's memory only: reloading asks for the password again.",
        "ログイン情報はこのページのメモリにだけ置かれます。再読み込みすると、もう一度パスワードが必要です。",
    ),
    "to_register": Text("This device is not registered?", "この端末が未登録の場合"),
    "not_switched": Text(
        "Nothing was changed: the other device stays logged in.", "変更はありません。別の端末はログインしたままです。"
    ),
    "logged_out": Text("You are logged out.", "ログアウトしました。"),
    # the question
    "in_use": Text("Already in use", "使用中です"),
    "active_since": Text("Logged in", "ログイン"),
    "last_seen": Text("Last seen", "最終利用"),
    "cannot_switch": Text(
        "This account is in use elsewhere. Log out there first.",
        "このアカウントは別の場所で使用中です。先にそちらでログアウトしてください。",
    ),
    "cancel": Text("Cancel", "キャンセル"),
    "continue": Text("Continue", "続ける"),
    # logged in
    "inside_title": Text("You are logged in", "ログイン中"),
    "this_device": Text("This device", "この端末"),
    "since": Text("Since", "ログイン日時"),
    "devices": Text("Devices", "端末"),
    "active": Text("active", "使用中"),
    "primary": Text("first device", "1台目"),
    "registered_at": Text("Registered", "登録日時"),
    "log_out_others": Text("Log out other devices", "ほかの端末をログアウト"),
    "others_out": Text("The other devices are logged out.", "ほかの端末をログアウトしました。"),
    "no_others": Text("No other device is logged in.", "ログイン中の端末はほかにありません。"),
    "add_device": Text("Add a device", "端末を追加"),
    "add_lead": Text("Your password, to make sure it is you.", "本人確認のため、パスワードを入力してください。"),
    "show_code": Text("Show the code", "コードを表示"),
    "no_fingerprint": Text(
        "This browser does not know its device's fingerprint, so it cannot add a device.",
        "この端末のフィンガープリントが不明なため、端末を追加できません。",
    ),
    "log_out": Text("Log out", "ログアウト"),
    "login_only": Text(
        "Only the login is served at this address; your devices and sessions are served elsewhere.",
        "このアドレスではログインだけを提供しています。端末とセッションの管理は別のアドレスにあります。",
    ),
    # the end
    "ended_elsewhere": Text("Signed out elsewhere", "別の場所でログアウトされました"),
    "ended": Text("Signed out", "ログアウトしました"),
    "log_in_again": Text("Log in again", "もう一度ログイン"),
}


def texts_in(language: str) -> Mapping[str, str]:
    """Return every text in one language."""
    return {name: text.in_language(language, {}) for name, text in TEXTS.items()}
