"""What the admin app's page says, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping

from common.web.messages import Text

_NOBODY = Text("No account has this name, mail address or uuid.", "該当するアカウントはありません。")

TEXTS: Mapping[str, Text] = {
    "title": Text("Administration", "管理"),
    "skip": Text("Skip to the content", "本文へ移動"),
    "no_script": Text("This page needs JavaScript.", "このページには JavaScript が必要です。"),
    "key_title": Text("Your admin key", "管理キー"),
    "key_lead": Text(
        "It is made by `ichidai admin-keys create`, and this page forgets it when it is closed.",
        "`ichidai admin-keys create` で作成したキーを入力してください。ページを閉じるとキーは消えます。",
    ),
    "key": Text("Admin key", "管理キー"),
    "enter": Text("Continue", "続ける"),
    "leave": Text("Forget the key", "キーを消す"),
    "find_title": Text("Find an account", "アカウントを探す"),
    "who": Text("Username, mail address or uuid", "ユーザー名、メールアドレス、または uuid"),
    "find": Text("Find", "検索"),
    "nobody": _NOBODY,
    "found": Text("Found", "検索結果"),
    "account": Text("Account", "アカウント"),
    "email": Text("Mail address", "メールアドレス"),
    "state": Text("State", "状態"),
    "created_at": Text("Registered", "登録日時"),
    "second_factor": Text("Second factor", "二要素認証"),
    "devices": Text("Devices", "端末"),
    "sessions": Text("Live sessions", "有効なセッション"),
    "history": Text("History", "履歴"),
    "none": Text("None", "なし"),
    "device": Text("Device", "端末"),
    "since": Text("Since", "開始"),
    "seen": Text("Last seen", "最終利用"),
    "registered_at": Text("Registered", "登録日時"),
    "at": Text("When", "日時"),
    "what": Text("What", "内容"),
    "address": Text("Address", "アドレス"),
    "acts": Text("Act on this account", "操作"),
    "accounts_title": Text("All accounts", "すべてのアカウント"),
    "any_state": Text("any", "すべて"),
    "inactive_days": Text("Unused for how many days", "未使用の日数（以上）"),
    "list": Text("List", "一覧を表示"),
    "more": Text("More", "さらに表示"),
    "earlier": Text("Earlier", "以前の記録"),
    "audit_title": Text("Audit log", "監査ログ"),
    "about": Text("About whom: username, mail address or uuid", "対象：ユーザー名、メールアドレス、または uuid"),
    "from_day": Text("From which day on", "開始日"),
    "show": Text("Show", "表示"),
    "who_acted": Text("By", "操作者"),
    "why": Text("Why", "理由"),
    "reason": Text("Reason, for the audit log", "理由（監査ログに残ります）"),
    "cancel": Text("Cancel", "キャンセル"),
    "disable": Text("Disable the account", "アカウントを停止"),
    "enable": Text("Enable the account", "停止を解除"),
    "close": Text("Close the account", "アカウントを閉鎖"),
    "end-sessions": Text("End all sessions", "すべてのセッションを終了"),
    "set-password": Text("Make a new password", "新しいパスワードを発行"),
    "reset-otp": Text("Switch the second factor off", "二要素認証を解除"),
    "unbind": Text("Unbind", "登録解除"),
}
"""What stands in the page."""

SAID: Mapping[str, Text] = {
    "unreachable": Text("The server cannot be reached.", "サーバーに接続できません。"),
    "nobody": _NOBODY,
    "two": Text("Two accounts: give the uuid ({uuids}).", "2 件が該当します。uuid を入力してください（{uuids}）。"),
    "on": Text("on", "有効"),
    "off": Text("off", "無効"),
    "state_active": Text("active", "有効"),
    "state_disabled": Text("disabled", "停止中"),
    "state_closed": Text("closed, to be erased", "閉鎖済み（期限後に削除）"),
    "bound": Text("registered", "登録中"),
    "revoked": Text("revoked", "失効"),
    "unknown_device": Text("Unknown device", "不明な端末"),
    "role": Text("Key {name}, role {role}", "キー {name}（権限 {role}）"),
    "by_operator": Text("by an operator ({act})", "管理者による操作（{act}）"),
    "done": Text("Done. Sessions ended: {ended}.", "完了しました。終了したセッション：{ended}"),
    "unchanged": Text("Nothing had to be changed.", "変更はありませんでした。"),
    "password": Text(
        "The new password, shown this once: {password}", "新しいパスワード（表示は一度だけです）：{password}"
    ),
    "sure_disable": Text(
        "Every session ends, and nobody gets in until the account is enabled.",
        "すべてのセッションが終了し、解除するまで誰もログインできません。",
    ),
    "sure_close": Text(
        "Every session ends. The user can reopen the account for some days; then it is erased for good.",
        "すべてのセッションが終了します。利用者は期限まで再開でき、その後はすべてのデータが削除されます。",
    ),
    "sure_enable": Text(
        "The account may be used again; what ended stays ended.",
        "再びログインできるようになります。終了したセッションは戻りません。",
    ),
    "sure_end-sessions": Text("The account is signed out everywhere.", "すべての端末からログアウトされます。"),
    "sure_set-password": Text(
        "The old password is void, and every session ends.",
        "以前のパスワードは無効になり、すべてのセッションが終了します。",
    ),
    "sure_reset-otp": Text(
        "The password alone lets the person in from now on: check the identity first.",
        "以後はパスワードだけでログインできます。先に本人確認をしてください。",
    ),
    "sure_unbind": Text(
        "The device's session ends and its certificate is revoked.",
        "この端末のセッションが終了し、証明書が失効します。",
    ),
}
"""What the module says."""


def texts_in(language: str) -> Mapping[str, str]:
    """Return every text that stands in the page, in one language."""
    return {name: text.in_language(language, {}) for name, text in TEXTS.items()}


def said_in(language: str) -> Mapping[str, str]:
    """Return every text that the module says, in one language; what is in braces it fills in."""
    return {name: text.ja if language == "ja" else text.en for name, text in SAID.items()}
