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
    "close_dialog": Text("Close", "閉じる"),
    "save": Text("Save", "保存"),
    "nav_home": Text("Home", "ホーム"),
    "nav_devices": Text("Devices", "端末"),
    "nav_history": Text("History", "履歴"),
    "nav_security": Text("Security", "セキュリティ"),
    "log_out": Text("Log out", "ログアウト"),
    # an address that nobody serves
    "unknown_title": Text("There is no such page", "ページが見つかりません"),
    "unknown_lead": Text("The address is wrong, or the page is gone.", "アドレスが違うか、ページがなくなっています。"),
    "unknown_home": Text("To the first page", "トップページへ"),
    # the titles of the pages
    "home_title": Text("One account, one device at a time", "ひとつのアカウント、一度に一台"),
    "registration_closed": Text("Accounts cannot be registered here.", "ここではアカウントを登録できません。"),
    "invited": Text("You were invited: create your account.", "招待されています。アカウントを作成してください。"),
    "registration_title": Text("Create account", "ユーザー登録"),
    "login_title": Text("Log in", "ログイン"),
    # the first page
    "home_lead": Text(
        "Your devices are registered with your account. When one too many logs in, you decide which one goes on.",
        "端末を登録して使うアカウントです。同時に使える台数を超えるときは、どの端末を使うかをあなたが決めます。",
    ),
    "home_question_title": Text("When another device is active", "別の端末が使用中のとき"),
    "home_register": Text(
        "Create an account. This device gets a certificate of its own.",
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
    "register": Text("Create account", "アカウントを作成"),
    "brand_logo": Text("To the first page", "トップページへ"),
    "terms_before": Text("By creating an account you agree to the ", "アカウントを作成すると、"),
    "terms": Text("terms of use", "利用規約"),
    "terms_after": Text(".", "に同意したものとみなされます。"),
    "password_show": Text("Show password", "パスワードを表示"),
    "password_hint": Text("At least 8 characters.", "8文字以上で入力してください。"),
    "device_name_hint": Text(
        "Optional. Shown in your list of devices, for example “My phone”.",
        "任意。端末の一覧に表示されます（例：自分のスマホ）。",
    ),
    "have_account": Text("You have an account already?", "アカウントをお持ちの場合"),
    # join
    "join": Text("Add this device by QR code", "QRコードでこの端末を追加"),
    "join_lead": Text(
        "On a device that is logged in choose “Add a device”. Then scan the code it shows, or paste its link.",
        "ログイン中の端末で「端末を追加」を選び、表示されたコードを読み取るか、リンクを貼り付けてください。",
    ),
    "scan": Text("Scan with the camera", "カメラで読み取る"),
    "stop_scan": Text("Stop the camera", "カメラを止める"),
    "camera_picture": Text("What the camera sees", "カメラの映像"),
    "choose_picture": Text("Choose a picture", "画像を選ぶ"),
    "join_submit": Text("Add this device", "この端末を追加"),
    "qr_text": Text("QR code text", "QRコードの文字列"),
    "paste_hint": Text(
        "Filled in by the scan, or pasted: the link or its last part.",
        "読み取ると自動で入力されます。リンクを貼り付けることもできます。",
    ),
    "no_account": Text("No account yet?", "アカウントをお持ちでない場合"),
    "to_registration": Text("Create account", "アカウントを作成"),
    # registered
    "done_title": Text("This device is registered", "この端末を登録しました"),
    "remembered": Text(
        "It names this device when you log in. This browser remembers it.",
        "ログイン時にこの端末を識別するための値です。このブラウザに保存されました。",
    ),
    "done_next": Text("You are logged in", "ログインしました"),
    "done_next_lead": Text(
        "With a recovery code you come back if you lose all your devices. Keep your codes now, or add a second device.",
        "すべての端末を失っても、リカバリーコードがあればアカウントに戻れます。今のうちにコードを保管するか、2台目の端末を追加してください。",
    ),
    "done_codes": Text("Keep recovery codes", "リカバリーコードを保管"),
    "done_home": Text("Go to your account", "アカウントへ進む"),
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
    "copy": Text("Copy", "コピー"),
    "print": Text("Print", "印刷"),
    # add a device
    "add_device": Text("Add a device", "端末を追加"),
    "add_step_1": Text("Show the code here.", "この画面にコードを表示します。"),
    "add_step_2": Text(
        "Scan it with the new device's camera, or open “Add this device by QR code” there.",
        "新しい端末のカメラで読み取るか、その端末で「QRコードでこの端末を追加」を開きます。",
    ),
    "add_step_3": Text("Enter your username and password there.", "その端末でユーザー名とパスワードを入力します。"),
    "add_lead": Text("Your password, to make sure it is you.", "本人確認のため、パスワードを入力してください。"),
    "show_code": Text("Show the code", "コードを表示"),
    "waiting": Text("Waiting for the new device …", "新しい端末を待っています…"),
    "back_to_devices": Text("Back to your devices", "端末の一覧に戻る"),
    # log in
    "log_in": Text("Log in", "ログイン"),
    "already_in": Text("Logged in here:", "ログイン中："),
    "advanced": Text("Advanced", "詳細"),
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
    # the active device is asked
    "join_by_approval": Text("Join without the password", "パスワードなしで追加"),
    "joining_lead": Text(
        "Open this site on a device that is logged in. This code opens it there.",
        "ログイン中の端末でこのサイトを開いてください。このコードからも開けます。",
    ),
    "joining_qr": Text("QR code that opens this site", "このサイトを開くQRコード"),
    "approve_join_title": Text("A new device wants to join your account", "新しい端末を追加しますか？"),
    "approve_join_lead": Text(
        "If it is yours, type the digits that it shows; it is then logged in as you. If it is not, refuse.",
        "自分の端末であれば、その画面の数字を入力してください。その端末であなたとしてログインします。心当たりがなければ拒否してください。",
    ),
    "approve_join": Text("Add it", "追加する"),
    "digits_title": Text("Type these digits on the active device", "使用中の端末でこの数字を入力してください"),
    "digits_lead": Text(
        "The other device asks for them. Once they are typed there, you are logged in here.",
        "使用中の端末に確認画面が表示されます。そこで数字を入力すると、この端末でログインできます。",
    ),
    "approve_title": Text("Another device wants to take over", "別の端末に切り替えますか？"),
    "approve_lead": Text(
        "If it is yours, type the digits that it shows; this device is then logged out. If it is not, refuse.",
        "ご自分の端末であれば、その端末に表示された数字を入力してください。この端末はログアウトされます。心当たりがなければ拒否してください。",
    ),
    "approve_device": Text("Device", "端末"),
    "approve_digits": Text("Digits on the other screen", "相手の画面の数字"),
    "approve": Text("Let it in", "切り替える"),
    "refuse": Text("Refuse", "拒否する"),
    # logged in
    "logged_in_as": Text("You are logged in as", "ログイン中のユーザー"),
    "this_device": Text("This device", "この端末"),
    "since": Text("Logged in since", "ログイン日時"),
    "devices": Text("Devices", "端末"),
    "active": Text("active", "使用中"),
    "primary": Text("first device", "1台目"),
    "registered_at": Text("Registered", "登録日時"),
    "log_out_others": Text("Log out other devices", "ほかの端末をログアウト"),
    "others_lead": Text(
        "All other devices are logged out at once. They stay registered and can log in again.",
        "ほかの端末はすべて、すぐにログアウトされます。登録は残り、再びログインできます。",
    ),
    "others_submit": Text("Log them out", "ログアウトさせる"),
    # a second factor
    "code": Text("Code", "確認コード"),
    "code_title": Text("One more step", "確認コードの入力"),
    "code_lead": Text(
        "Enter the code that your authenticator app shows, or a recovery code.",
        "認証アプリに表示されている確認コードか、リカバリーコードを入力してください。",
    ),
    "factor": Text("Two-step login", "2段階認証"),
    "factor_active": Text("on", "有効"),
    "factor_switch_on": Text("Turn on", "有効にする"),
    "factor_switch_off": Text("Turn off", "無効にする"),
    "factor_on_title": Text("Turn on two-step login", "2段階認証を有効にする"),
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
        "Keep these codes where your phone is not: each lets you in once without the app. They are not shown again.",
        "スマホとは別の場所に保管してください。認証アプリが使えないとき、1つにつき一度だけ使えます。再表示はできません。",
    ),
    "factor_kept": Text("I have kept them", "保管しました"),
    "factor_renew": Text("New recovery codes", "リカバリーコードを再発行"),
    "factor_renew_lead": Text(
        "Ten new codes are made. Those that are left of the old ones work no more.",
        "新しいコードを10個発行します。これまでのコードは使えなくなります。",
    ),
    "factor_off_title": Text("Turn off two-step login", "2段階認証を無効にする"),
    "factor_off_lead": Text(
        "Then the password alone is enough again, and the recovery codes are gone.",
        "パスワードだけでログインできるようになり、リカバリーコードは使えなくなります。",
    ),
    # the account
    "security": Text("Account and security", "アカウントとセキュリティ"),
    "account": Text("Your account", "アカウント情報"),
    "recovery_left": Text("Recovery codes left", "リカバリーコードの残り"),
    "password_change": Text("Change the password", "パスワードを変更"),
    "password_change_lead": Text(
        "You stay logged in here. Your other devices have to log in again.",
        "この端末はログインしたままです。ほかの端末では、もう一度ログインが必要になります。",
    ),
    "password_now": Text("Present password", "現在のパスワード"),
    "password_new": Text("New password", "新しいパスワード"),
    "password_changed": Text("The password was changed.", "パスワードを変更しました。"),
    "recovery_lead": Text(
        "If you lose all your devices, one of these codes and your password let you back in. Keep them on paper.",
        "端末をすべて失っても、リカバリーコードとパスワードがあればアカウントに戻れます。紙に控えて保管してください。",
    ),
    "no_codes": Text(
        "You have no recovery codes. If you lose all your devices, nothing else lets you back in.",
        "リカバリーコードがまだありません。端末をすべて失うと、アカウントに戻れなくなります。",
    ),
    "recovery_make": Text("Make recovery codes", "リカバリーコードを発行"),
    "recovery_made": Text("Recovery codes were made.", "リカバリーコードを発行しました。"),
    "everywhere": Text("Sign out everywhere", "すべての端末からログアウト"),
    "everywhere_lead": Text(
        "Every other device is logged out at once; it stays registered.",
        "ほかの端末はすぐにログアウトされます。端末の登録は残ります。",
    ),
    "everywhere_here": Text("This device too", "この端末もログアウトする"),
    "everywhere_done": Text("All other devices are logged out.", "ほかの端末をすべてログアウトしました。"),
    # all devices lost
    "recover": Text("Lost all devices?", "端末をすべて失った場合"),
    "recover_lead": Text(
        "A recovery code and your password make this browser a device of your account. All devices are logged out.",
        "リカバリーコードとパスワードで、このブラウザを端末として登録します。ほかの端末はすべてログアウトされます。",
    ),
    "recover_password": Text(
        "If another person changed it within the last seven days, the one before.",
        "7日以内に他人に変更された場合は、変更前のパスワードを入力してください。",
    ),
    "recovery_code": Text("Recovery code", "リカバリーコード"),
    "recover_submit": Text("Back to my account", "アカウントに戻る"),
    # mails
    "forgot": Text("Forgot your password?", "パスワードを忘れた場合"),
    "forgot_lead": Text(
        "A link for a new password is sent to your mail address, if it was confirmed.",
        "確認済みのメールアドレスに、パスワード再設定用のリンクを送信します。",
    ),
    "forgot_submit": Text("Send the link", "リンクを送信"),
    "forgot_sent": Text(
        "If there is such an account, the link is on its way. It is good for 15 minutes.",
        "該当するアカウントがある場合は、リンクを送信しました。有効期限は15分です。",
    ),
    "reset": Text("Choose a new password", "新しいパスワードの設定"),
    "reset_lead": Text(
        "This browser becomes a device of your account, and every other device is logged out and removed.",
        "このブラウザを端末として登録し、ほかの端末はログアウトして登録を解除します。",
    ),
    "reset_keep": Text("Keep my other devices", "ほかの端末の登録を残す"),
    "reset_submit": Text("Set the password", "パスワードを設定"),
    "confirm": Text("Confirm your mail address", "メールアドレスの確認"),
    "confirm_lead": Text("Is this mail address yours?", "このメールアドレスはご本人のものですか？"),
    "confirm_submit": Text("Yes, it is mine", "はい、確認します"),
    "confirm_done": Text("The mail address is confirmed.", "メールアドレスを確認しました。"),
    "object": Text("That was not me", "心当たりがない操作を取り消す"),
    "object_lead": Text(
        "What was done to the account since then is taken back, and every device is logged out. Then choose a "
        "new password.",
        "それ以降にアカウントに行われた変更を取り消し、すべての端末をログアウトします。続けて新しいパスワードを設定してください。",
    ),
    "object_submit": Text("Take it back", "取り消す"),
    "object_done": Text("It was taken back.", "取り消しました。"),
    "export": Text("Your data", "あなたのデータ"),
    "export_lead": Text(
        "All that is kept about your account, as a file: devices, sessions and the whole history.",
        "アカウントについて保存されている情報（端末、セッション、履歴）をファイルとして取得できます。",
    ),
    "export_submit": Text("Download", "ダウンロード"),
    "close": Text("Close the account", "アカウントを閉鎖"),
    "close_lead": Text(
        "You are signed out everywhere. For some days you can log in and reopen the account; then all that is kept "
        "about it is erased.",
        "すべての端末からログアウトします。しばらくの間はログインして再開できますが、その後はすべてのデータが削除されます。",
    ),
    "close_sure": Text("Close your account?", "アカウントを閉鎖しますか？"),
    "reopen": Text("Reopen the account?", "アカウントを再開しますか？"),
    "reopen_lead": Text(
        "This account is closed. Until then it can be reopened:", "このアカウントは閉鎖されています。再開できる期限："
    ),
    "reopen_submit": Text("Reopen and log in", "再開してログイン"),
    "username_change": Text("Change the username", "ユーザー名を変更"),
    "username_change_lead": Text(
        "The name before stays yours for 30 days: until then you can log in by either.",
        "変更前のユーザー名は30日間保持され、その間はどちらのユーザー名でもログインできます。",
    ),
    "username_new": Text("New username", "新しいユーザー名"),
    "username_changed": Text("The username was changed.", "ユーザー名を変更しました。"),
    "email_unconfirmed": Text("not confirmed", "未確認"),
    "email_change": Text("Mail address", "メールアドレスの確認と変更"),
    "email_change_lead": Text(
        "A link is sent to the address. Another one is your account's once you have opened it.",
        "入力したアドレスに確認用のリンクを送信します。リンクから確認すると登録されます。",
    ),
    "email_submit": Text("Mail the link", "確認用のリンクを送信"),
    "email_sent": Text(
        "The link is on its way. It is good for 24 hours.", "リンクを送信しました。有効期限は24時間です。"
    ),
    "not_me": Text("That was not me", "心当たりがない"),
    # devices
    "devices_lead": Text(
        "The devices that can use your account, and where it is logged in just now.",
        "アカウントを使える端末と、現在ログインしている場所です。",
    ),
    "kind": Text("Kind", "種類"),
    "kind_phone": Text("Phone", "スマホ"),
    "kind_tablet": Text("Tablet", "タブレット"),
    "kind_computer": Text("Computer", "パソコン"),
    "kind_device": Text("Other device", "その他の端末"),
    "used_from": Text("Used from", "利用環境"),
    "logged_in_ago": Text("Logged in", "ログイン"),
    "seen_ago": Text("Last seen", "最終利用"),
    "registered_ago": Text("Registered", "登録"),
    "rename": Text("Rename", "名前を変更"),
    "rename_title": Text("Rename the device", "端末名の変更"),
    "passkey_log_in": Text("Log in with a passkey", "パスキーでログイン"),
    "passkeys": Text("Passkeys", "パスキー"),
    "passkeys_lead": Text(
        "Log in by fingerprint, face or PIN instead of the password. To remove a passkey, enter the password first.",
        "指紋、顔認証、またはPINで、パスワードなしでログインできます。パスキーを削除するには、先にパスワードを入力してください。",
    ),
    "passkey_last": Text("last used:", "最終使用:"),
    "passkey_make": Text("Make a passkey", "パスキーを作成"),
    "passkey_made": Text("The passkey was made.", "パスキーを作成しました。"),
    "passkey_removed": Text("The passkey was removed.", "パスキーを削除しました。"),
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
    # history
    "history": Text("History", "履歴"),
    "show_more": Text("Show more", "さらに表示"),
    # the end
    "ended_elsewhere": Text("You've been signed out", "別の場所からの操作でログアウトされました"),
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
    "factor_renewed": Text("New recovery codes were made.", "リカバリーコードを再発行しました。"),
    "factor_off": Text("Two-step login is off.", "2段階認証を無効にしました。"),
    "factor_none": Text(
        "Off. Your password alone lets a registered device in.",
        "無効です。登録済みの端末では、パスワードだけでログインできます。",
    ),
    "factor_state": Text(
        "Since {time}. Recovery codes left: {left}.", "{time}から有効です。リカバリーコードの残り：{left}個"
    ),
    "wrong_password": Text("The password is wrong.", "パスワードが正しくありません。"),
    "redeemed": Text("\u2068{device}\u2069 has joined ({time}).", "\u2068{device}\u2069が追加されました（{time}）。"),
    "no_fingerprint": Text(
        "This browser does not know its device's fingerprint, so it cannot add a device.",
        "この端末のフィンガープリントが不明なため、端末を追加できません。",
    ),
    "not_registered": Text(
        "This browser is not a registered device yet. Add it by QR code, or create an account.",
        "このブラウザはまだ端末として登録されていません。QRコードでこの端末を追加するか、アカウントを作成してください。",
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
    "not_me_done": Text(
        "It was taken back. Now change your password.", "変更を取り消しました。続けてパスワードを変更してください。"
    ),
    "renamed": Text("The device has a new name.", "端末名を変更しました。"),
    "removed": Text("The device was removed.", "端末の登録を解除しました。"),
    "session_over": Text("The device is logged out.", "端末をログアウトさせました。"),
    "removed_here": Text(
        "You removed this device from your account. To use it again, add it by QR code.",
        "この端末の登録を解除しました。もう一度使うには、QRコードでこの端末を追加してください。",
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
    "event_otp-enabled": Text("Two-step login turned on", "2段階認証を有効化"),
    "event_otp-disabled": Text("Two-step login turned off", "2段階認証を無効化"),
    "event_recovery-codes-renewed": Text("New recovery codes made", "リカバリーコードを再発行"),
    "event_recovery-code-used": Text("Recovery code used", "リカバリーコードを使用"),
    "event_passkey-added": Text("Passkey added", "パスキーを追加"),
    "event_passkey-removed": Text("Passkey removed", "パスキーを削除"),
    "event_email-confirmed": Text("Mail address confirmed", "メールアドレスを確認"),
    "event_email-changed": Text("Mail address changed", "メールアドレスを変更"),
    "event_username-changed": Text("Username changed", "ユーザー名を変更"),
    "event_objected": Text("Changes taken back", "変更を取り消し"),
    "event_password-changed": Text("Password changed", "パスワードを変更"),
    "event_account-closed": Text("Account closed", "アカウントを閉鎖"),
    "event_account-reopened": Text("Account reopened", "アカウントを再開"),
    "event_account-disabled": Text("Account disabled by an operator", "運営者がアカウントを停止"),
    "event_account-enabled": Text("Account enabled by an operator", "運営者がアカウントを再開"),
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
    "closed_here": Text(
        "Your account is closed. To reopen it, log in within the next days.",
        "アカウントを閉鎖しました。再開するには、期限までにログインしてください。",
    ),
    "why_over-limit": Text("The limit of active devices was lowered.", "同時利用の上限が引き下げられました。"),
    "why_ended": Text("The session has ended.", "セッションは終了しました。"),
    # What the server says to programs, as people are told it: with the way out that these pages have. Of a request that
    # cannot be read, the field that is meant comes after the code.
    "account-closed": Text("This account is closed.", "このアカウントは閉鎖されています。"),
    "bad-credentials": Text("Wrong username or password.", "ユーザー名またはパスワードが正しくありません。"),
    "certificate-mismatch": Text(
        "This browser is not a device of this account. Add it by QR code.",
        "このブラウザは、このアカウントの端末として登録されていません。QRコードでこの端末を追加してください。",
    ),
    "certificate-revoked": Text(
        "This device was removed from the account. To use it again, add it by QR code.",
        "この端末の登録は解除されています。もう一度使うには、QRコードでこの端末を追加してください。",
    ),
    "certificate-expired": Text(
        "This device's certificate has expired. Add it again by QR code.",
        "この端末の証明書は有効期限が切れています。もう一度QRコードでこの端末を追加してください。",
    ),
    "pairing-token-spent": Text(
        "This code was used, or has expired. Show a new one on a device that is logged in.",
        "このコードは使用済みか、期限が切れています。ログイン中の端末で新しいコードを表示してください。",
    ),
    "asks_active": Text(
        "This account is in use elsewhere. The active device is asked whether you may take over. Continue?",
        "このアカウントは別の場所で使用中です。使用中の端末に、切り替えてよいか確認します。続けますか？",
    ),
    "new_device": Text("A device that is being added", "追加中の端末"),
    "approval-refused": Text(
        "The active device refused. Nothing was changed; it can be asked again after ten minutes.",
        "使用中の端末で拒否されました。何も変わっていません。10分後にもう一度確認できます。",
    ),
    "approval-spent": Text("The other device waits no longer.", "相手の端末はもう待っていません。"),
    "takeover-spent": Text(
        "The question was left open too long. Log in again.",
        "確認の有効期限が切れました。もう一度ログインしてください。",
    ),
    "otp-required": Text("A code of your authenticator app is needed.", "認証アプリの確認コードが必要です。"),
    "password-reset-required": Text(
        "Changes of this account were taken back. Choose a new password by “Forgot your password?” or a recovery code.",
        "アカウントへの変更が取り消されました。「パスワードを忘れた場合」かリカバリーコードで、新しいパスワードを設定してください。",
    ),
    "last-device": Text(
        "The last device cannot be removed. Add another one first.",
        "最後の端末は解除できません。先に別の端末を追加してください。",
    ),
    "invalid-request_username": Text(
        "A username has 1 to 64 characters that can be seen, and no two spaces together.",
        "ユーザー名は、目に見える文字64文字以内で入力してください。全角スペースや連続したスペースは使えません。",
    ),
    "invalid-request_email": Text(
        "Enter a mail address, such as name@example.com.",
        "メールアドレスの形式が正しくありません（例：name@example.com）。",
    ),
    "invalid-request_device_name": Text(
        "A device name has 1 to 64 characters that can be seen.",
        "端末名は、目に見える文字64文字以内で入力してください。",
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
