"""What the pages say, in English and Japanese. What a call answers is told in the server's own words, not in these."""

from __future__ import annotations

from collections.abc import Mapping

from common.web.messages import Text

TEXTS: Mapping[str, Text] = {
    # every page
    "skip": Text("Skip to the content", "本文へ移動"),
    "navigation": Text("Pages", "ページ"),
    "no_script": Text("These pages need JavaScript.", "このページには JavaScript が必要です。"),
    "username": Text("Username", "ユーザー名"),
    "email": Text("Email", "メールアドレス"),
    "password": Text("Password", "パスワード"),
    "device_name": Text("Device name", "端末名"),
    "fingerprint": Text("Certificate fingerprint", "証明書のフィンガープリント"),
    "cancel": Text("Cancel", "キャンセル"),
    "save": Text("Save", "保存"),
    "nav_home": Text("Home", "ホーム"),
    "log_out": Text("Log out", "ログアウト"),
    # the titles of the pages
    "home_title": Text("One account, one device at a time", "ひとつのアカウント、一度に一台"),
    "registration_title": Text("Register", "ユーザー登録"),
    "login_title": Text("Log in", "ログイン"),
    # the first page
    "home_lead": Text(
        "Your devices are registered with your account. When one too many logs in, you decide which one goes on.",
        "端末を登録して使うアカウントです。同時に使える台数を超えるときは、どの端末を使うかをあなたが決めます。",
    ),
    "home_question_title": Text("When another device is active", "別の端末が使用中のとき"),
    "home_register": Text(
        "Make an account. This device gets a certificate of its own.",
        "アカウントを作ると、この端末に専用の証明書が発行されます。",
    ),
    "home_question": Text(
        "If another device is active you are asked. Continue, and it is out at once; cancel, and nothing changes.",
        "別の端末が使用中なら、まず確認します。続けるとその端末はすぐにログアウトされ、キャンセルすれば何も変わりません。",
    ),
    "home_join": Text(
        "Add a phone or a computer by scanning the code that a registered device shows.",
        "登録済みの端末に表示されたコードを読み取って、スマホやパソコンを追加できます。",
    ),
    "home_api": Text("For developers: every route of the API", "開発者の方へ：APIの説明"),
    # register
    "register": Text("Register", "登録する"),
    "password_hint": Text("At least 8 characters.", "8文字以上で入力してください。"),
    "device_name_hint": Text(
        "Optional. Shown in your list of devices, for example “My phone”.",
        "任意。端末の一覧に表示されます（例：自分のスマホ）。",
    ),
    "have_account": Text("You have an account already?", "アカウントをお持ちの場合"),
    # join
    "join": Text("Join with a QR code", "QRコードで登録"),
    "join_lead": Text(
        "On a device that is logged in choose “Add a device”. Then scan the code it shows, or paste its text.",
        "ログイン中の端末で「端末を追加」を選び、表示されたコードを読み取るか、文字列を貼り付けてください。",
    ),
    "scan": Text("Scan with the camera", "カメラで読み取る"),
    "stop_scan": Text("Stop the camera", "カメラを止める"),
    "camera_picture": Text("What the camera sees", "カメラの映像"),
    "choose_picture": Text("Choose a picture", "画像を選ぶ"),
    "join_submit": Text("Join", "登録する"),
    "qr_text": Text("QR code text", "QRコードの文字列"),
    "paste_hint": Text("Filled in by the scan, or pasted.", "読み取ると自動で入力されます。貼り付けもできます。"),
    "no_account": Text("No account yet?", "アカウントをお持ちでない場合"),
    "to_registration": Text("Make an account", "アカウントを作成"),
    # registered
    "done_title": Text("This device is registered", "この端末を登録しました"),
    "remembered": Text(
        "It names this device when you log in. This browser remembers it.",
        "ログイン時にこの端末を識別するための値です。このブラウザに保存されました。",
    ),
    "keys_title": Text("Private keys", "秘密鍵"),
    "keys_lead": Text(
        "They were made for this device, are kept nowhere else, and are gone when you leave this page. Keep the file "
        "where only you can read it.",
        "この端末のために作られた鍵で、ほかのどこにも保存されません。このページを離れると失われます。"
        "自分だけが読める場所にファイルを保管してください。",
    ),
    "save_keys": Text("Save the private keys", "秘密鍵を保存"),
    # a pairing code
    "pairing_title": Text("A code for another device", "別の端末を追加するコード"),
    "pairing_lead": Text(
        "It works once. The new device also needs your username and password.",
        "一度だけ使えます。新しい端末では、ユーザー名とパスワードも必要です。",
    ),
    "qr_picture": Text("QR code that lets another device join", "別の端末を追加するためのQRコード"),
    "time_left": Text("Time left", "残り時間"),
    "copy": Text("Copy the text", "文字列をコピー"),
    "print": Text("Print", "印刷"),
    # add a device
    "add_device": Text("Add a device", "端末を追加"),
    "add_step_1": Text("Show the code here.", "この画面にコードを表示します。"),
    "add_step_2": Text(
        "On the new device open “Join with a QR code” and scan it.",
        "新しい端末で「QRコードで登録」を開き、コードを読み取ります。",
    ),
    "add_step_3": Text("Enter your username and password there.", "その端末でユーザー名とパスワードを入力します。"),
    "add_lead": Text("Your password, to make sure it is you.", "本人確認のため、パスワードを入力してください。"),
    "show_code": Text("Show the code", "コードを表示"),
    "waiting": Text("Waiting for the new device …", "新しい端末を待っています…"),
    "back_to_devices": Text("Back to your devices", "端末の一覧に戻る"),
    # log in
    "log_in": Text("Log in", "ログイン"),
    "already_in": Text("Logged in here:", "ログイン中："),
    "other_device": Text("Another certificate", "別の証明書を使う"),
    "fingerprint_hint": Text(
        "Only where this browser is not the device's own: paste the fingerprint of its certificate.",
        "この端末のブラウザで登録していない場合だけ、証明書のフィンガープリントを貼り付けてください。",
    ),
    "to_register": Text("This device is not registered yet?", "この端末が未登録の場合"),
    # the question
    "in_use": Text("Already in use", "使用中です"),
    "active_since": Text("Logged in", "ログイン日時"),
    "last_seen": Text("Last seen", "最終利用日時"),
    "colon": Text(": ", "："),
    "continue": Text("Continue", "続ける"),
    # logged in
    "logged_in_as": Text("You are logged in as", "ログイン中のユーザー"),
    "inside_title": Text("You are logged in", "ログイン中"),
    "login_only": Text(
        "Only the login is served at this address; your devices and sessions are served elsewhere.",
        "このアドレスではログインだけを提供しています。端末とセッションの管理は別のアドレスにあります。",
    ),
    "this_device": Text("This device", "この端末"),
    "since": Text("Logged in since", "ログイン日時"),
    "devices": Text("Devices", "端末"),
    "active": Text("active", "使用中"),
    "primary": Text("first device", "1台目"),
    "registered_at": Text("Registered", "登録日時"),
    "log_out_others": Text("Log out other devices", "ほかの端末をログアウト"),
    # a second factor
    "code": Text("Code", "確認コード"),
    "code_title": Text("One more step", "確認コードの入力"),
    "code_lead": Text(
        "Enter the code that your authenticator app shows, or a recovery code.",
        "認証アプリに表示されている確認コードか、リカバリーコードを入力してください。",
    ),
    "factor": Text("Two-step login", "2段階認証"),
    "factor_active": Text("on", "有効"),
    "factor_switch_on": Text("Switch on", "有効にする"),
    "factor_switch_off": Text("Switch off", "無効にする"),
    "factor_on_title": Text("Switch two-step login on", "2段階認証を有効にする"),
    "factor_lead": Text(
        "Besides your password, a code of an authenticator app on your phone will be asked for.",
        "パスワードに加えて、スマホの認証アプリの確認コードを入力するようになります。",
    ),
    "factor_next": Text("Next", "次へ"),
    "factor_scan": Text(
        "Scan this with the app, such as Google Authenticator, and enter the code that it shows.",
        "Google Authenticator などの認証アプリで読み取り、表示された確認コードを入力してください。",
    ),
    "factor_picture": Text("QR code for the authenticator app", "認証アプリ用のQRコード"),
    "factor_type": Text("Or type this into the app:", "読み取れない場合は、次のキーを入力してください："),
    "factor_codes": Text("Recovery codes", "リカバリーコード"),
    "factor_codes_lead": Text(
        "It is on. Keep these codes where your phone is not: each lets you in once without the app. They are not "
        "shown again.",
        "有効になりました。スマホとは別の場所に保管してください。認証アプリが使えないとき、1つにつき一度だけ使えます。"
        "再表示はできません。",
    ),
    "factor_kept": Text("I have kept them", "保管しました"),
    "factor_off_title": Text("Switch two-step login off", "2段階認証を無効にする"),
    "factor_off_lead": Text(
        "Then the password alone is enough again, and the recovery codes are gone.",
        "パスワードだけでログインできるようになり、リカバリーコードは使えなくなります。",
    ),
    # devices
    "rename": Text("Rename", "名前を変更"),
    "rename_title": Text("Rename the device", "端末名の変更"),
    "remove": Text("Remove", "登録を解除"),
    "remove_title": Text("Remove this device:", "端末の登録を解除："),
    "remove_lead": Text(
        "It is logged out at once and its certificate is revoked. To use it again it must join anew.",
        "解除するとすぐにログアウトされ、証明書は失効します。もう一度使うには、改めて登録が必要です。",
    ),
    "remove_own": Text(
        "It is the device that you are using: you will be logged out here.",
        "いまお使いの端末です。解除すると、ここからもログアウトします。",
    ),
    # sessions
    "sessions": Text("Sessions", "セッション"),
    "sessions_lead": Text(
        "Where your account is logged in just now.", "現在このアカウントがログインしている場所です。"
    ),
    "this_session": Text("this one", "この画面"),
    "end_session": Text("End this session", "このセッションを終了"),
    # history
    "history": Text("History", "履歴"),
    "show_more": Text("Show more", "さらに表示"),
    # the end
    "ended_elsewhere": Text("Signed out elsewhere", "別の場所からの操作でログアウトされました"),
    "by_device": Text("By", "操作した端末"),
    "when": Text("When", "日時"),
    "log_in_again": Text("Log in again", "もう一度ログイン"),
    "not_you": Text(
        "Was it not you? Log in again and look at your devices and the history.",
        "心当たりがない場合は、もう一度ログインして端末と履歴を確認してください。",
    ),
}
"""What stands in the pages."""

SAID: Mapping[str, Text] = {
    "unreachable": Text(
        "The server cannot be reached. Try again soon.",
        "サーバーに接続できません。しばらくしてからもう一度お試しください。",
    ),
    "unreadable": Text("The server gave an answer that cannot be read.", "サーバーの応答を読み取れません。"),
    "unknown_device": Text("a device without a name", "名前のない端末"),
    "keys_saved": Text("The file was handed to the browser to save.", "ファイルの保存をブラウザに依頼しました。"),
    "copied": Text("Copied.", "コピーしました。"),
    "pairing_over": Text(
        "The code has expired. Show a new one.", "コードの期限が切れました。新しいコードを表示してください。"
    ),
    "wrong_code": Text(
        "The code is wrong or was used already. Wait for the next one.",
        "確認コードが違うか、使用済みです。次のコードを入力してください。",
    ),
    "factor_on": Text("Two-step login is on.", "2段階認証を有効にしました。"),
    "factor_off": Text("Two-step login is off.", "2段階認証を無効にしました。"),
    "factor_none": Text(
        "Off. Your password alone lets a registered device in.",
        "無効です。登録済みの端末では、パスワードだけでログインできます。",
    ),
    "factor_state": Text(
        "Since {time}. Recovery codes left: {left}.", "{time}から有効です。リカバリーコードの残り：{left}個"
    ),
    "wrong_password": Text("The password is wrong.", "パスワードが正しくありません。"),
    "redeemed": Text("{device} has joined ({time}).", "{device}が追加されました（{time}）。"),
    "no_fingerprint": Text(
        "This browser does not know its device's fingerprint, so it cannot add a device.",
        "この端末のフィンガープリントが不明なため、端末を追加できません。",
    ),
    "not_registered": Text(
        "This browser is not a registered device yet. Join with a QR code, or make an account.",
        "このブラウザはまだ端末として登録されていません。QRコードで登録するか、アカウントを作成してください。",
    ),
    "no_camera": Text(
        "The camera cannot be used. Choose a picture of the code, or paste its text.",
        "カメラを使用できません。コードの画像を選ぶか、文字列を貼り付けてください。",
    ),
    "no_code": Text("No QR code was found in the picture.", "画像にQRコードが見つかりません。"),
    "scanned": Text(
        "The code was read. Now your username and password.",
        "コードを読み取りました。ユーザー名とパスワードを入力してください。",
    ),
    "not_switched": Text(
        "Nothing was changed: the other device stays logged in.", "変更はありません。別の端末はログインしたままです。"
    ),
    "cannot_switch": Text(
        "This account is in use elsewhere. Log out there first.",
        "このアカウントは別の場所で使用中です。先にそちらでログアウトしてください。",
    ),
    "logged_out": Text("You are logged out.", "ログアウトしました。"),
    "others_out": Text("The other devices are logged out.", "ほかの端末をログアウトしました。"),
    "no_others": Text("No other device is logged in.", "ログイン中の端末はほかにありません。"),
    "renamed": Text("The device has a new name.", "端末名を変更しました。"),
    "removed": Text("The device was removed.", "端末の登録を解除しました。"),
    "session_over": Text("The session was ended.", "セッションを終了しました。"),
    "removed_here": Text(
        "You removed this device from your account. To use it again, join with a QR code.",
        "この端末の登録を解除しました。もう一度使うには、QRコードで登録してください。",
    ),
    "ended": Text("Signed out", "ログアウトしました"),
    "ended_elsewhere": TEXTS["ended_elsewhere"],
    "event_registered": Text("Account registered", "アカウントを登録"),
    "event_device-added": Text("Device added", "端末を追加"),
    "event_device-removed": Text("Device removed", "端末の登録を解除"),
    "event_device-renamed": Text("Device renamed", "端末名を変更"),
    "event_certificate-revoked": Text("Certificate revoked", "証明書の失効"),
    "event_certificate-renewed": Text("Certificate renewed", "証明書の更新"),
    "event_login": Text("Logged in", "ログイン"),
    "event_login-failed": Text("Wrong password or code", "パスワードまたは確認コードの誤り"),
    "event_otp-enabled": Text("Two-step login switched on", "2段階認証を有効化"),
    "event_otp-disabled": Text("Two-step login switched off", "2段階認証を無効化"),
    "event_recovery-code-used": Text("Recovery code used", "リカバリーコードを使用"),
    "event_session-ended": Text("Session ended", "セッションの終了"),
    "why_taken-over": Text("Another device took its place.", "別の端末でのログインに切り替えられました。"),
    "why_forced-out": Text("Logged out from another device.", "別の端末からログアウトされました。"),
    "why_evicted": Text(
        "Another device logged in and the limit was reached.", "別の端末のログインで上限に達したため終了しました。"
    ),
    "why_replaced": Text("The same device logged in again.", "同じ端末で再度ログインしました。"),
    "why_logged-out": Text("Logged out.", "ログアウトしました。"),
    "why_expired": Text("Too long without activity.", "一定時間操作がなかったため終了しました。"),
    "why_device-unbound": Text("The device was removed from the account.", "端末の登録が解除されました。"),
    "why_password-changed": Text("The password was changed.", "パスワードが変更されました。"),
    "why_refresh-reused": Text(
        "An old copy of this login was used, so it was ended.",
        "古いログイン情報が使われたため、安全のために終了しました。",
    ),
    "why_revoked": Text("Ended from another session.", "ほかの場所からの操作で終了しました。"),
    "why_over-limit": Text("The limit of active devices was lowered.", "同時利用の上限が引き下げられました。"),
    "why_ended": Text("The session has ended.", "セッションは終了しました。"),
    # What the server says to programs, as people are told it: with the way out that these pages have. Of a request that
    # cannot be read, the field that is meant comes after the code.
    "certificate-mismatch": Text(
        "This browser is not a device of this account. Join with a QR code.",
        "このブラウザは、このアカウントの端末として登録されていません。QRコードで登録してください。",
    ),
    "certificate-revoked": Text(
        "This device was removed from the account. To use it again, join with a QR code.",
        "この端末の登録は解除されています。もう一度使うには、QRコードで登録してください。",
    ),
    "certificate-expired": Text(
        "This device's certificate has expired. Join with a QR code again.",
        "この端末の証明書は有効期限が切れています。もう一度QRコードで登録してください。",
    ),
    "pairing-token-spent": Text(
        "This code was used, or has expired. Show a new one on a device that is logged in.",
        "このコードは使用済みか、期限が切れています。ログイン中の端末で新しいコードを表示してください。",
    ),
    "takeover-spent": Text(
        "The question was left open too long. Log in again.",
        "確認の有効期限が切れました。もう一度ログインしてください。",
    ),
    "otp-required": Text("A code of your authenticator app is needed.", "認証アプリの確認コードが必要です。"),
    "last-device": Text(
        "The last device cannot be removed. Add another one first.",
        "最後の端末は解除できません。先に別の端末を追加してください。",
    ),
    "invalid-request_username": Text(
        "A username has 1 to 64 characters.", "ユーザー名は64文字以内で入力してください。"
    ),
    "invalid-request_email": Text(
        "Enter a mail address, such as name@example.com.",
        "メールアドレスの形式が正しくありません（例：name@example.com）。",
    ),
    "invalid-request_device_name": Text(
        "A device name has 1 to 64 characters.", "端末名は64文字以内で入力してください。"
    ),
    "invalid-request_client_cert_fp": Text(
        "A fingerprint has 64 hexadecimal digits.", "フィンガープリントは64桁の16進数で入力してください。"
    ),
}
"""What the modules say."""


def texts_in(language: str) -> Mapping[str, str]:
    """Return every text that stands in the pages, in one language."""
    return {name: text.in_language(language, {}) for name, text in TEXTS.items()}


def said_in(language: str) -> Mapping[str, str]:
    """Return every text that the modules say, in one language; what is in braces they fill in."""
    return {name: text.ja if language == "ja" else text.en for name, text in SAID.items()}
