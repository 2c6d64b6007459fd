"""What the unkind engine does not do to which use cases, and why. `test_complete.py` holds the lists to the tests.

A name is a module's or a test's.
"""

from __future__ import annotations

COUNTING = {
    "test_activity",
    "test_guessed_codes",
    "test_known_devices",
    "test_an_account_comes_with_its_first_device_in_one_commit",
    "test_every_ending_is_in_the_feed_as_it_is_in_the_history",
    "test_everything_of_it_changes_in_one_commit",
    "test_guesses_are_counted",
    "test_its_session_ends_and_its_certificate_is_revoked_in_one_change",
    "test_several_endings_of_one_change_are_one_item",
    "test_the_new_one_is_over_the_same_key_and_the_old_one_is_out",
    "test_then_a_wrong_password_does_not_and_is_counted",
    "test_wrong_ones_are_counted",
    "test_wrong_tries_are_counted",
}
"""No answer is lost and no call refused: they count what that makes more of, writes and tries of a password or code; or
what is tried again a second later."""

SENT_ONCE = {
    "test_address",
    "test_registration_limit",
    "test_a_refusal_tells_what_a_stream_would_have_told",
    "test_a_stranger_learns_nothing",
    "test_a_typing_error_is_no_refusal",
    "test_an_address_that_is_changed",
    "test_each_step_is_counted_and_a_line_once",
    "test_four_bad_signatures_do_not",
    "test_mail_changed",
    "test_the_answer_waits_for_nothing_that_depends_on_the_account",
    "test_three_in_ten_minutes",
    "test_three_times_in_ten_minutes",
    "test_tokens_of_another_kind_are_none",
}
"""No call is refused: they count requests, or compare their calls, and one that is sent again is one more; or they look
at names, which a store that refuses costs an answer."""

LISTED = {
    "test_activity",
    "test_address",
    "test_certificates_in_use",
    "test_feed",
    "test_history_pages",
    "test_mail",
    "test_notices",
    "test_objection",
    "test_operator_notices",
    "test_renewal",
    "test_revocation",
    "test_security_events",
    "test_a_consent_ends_all_it_showed",
    "test_a_device_is_renamed",
    "test_a_device_that_never_logged_in_is_no_active_one",
    "test_a_name_that_a_thief_changed_is_taken_back",
    "test_a_new_password_by_mail_reopens_it",
    "test_a_repetition_is_in_the_history_without_gaps",
    "test_a_stale_consent_ends_nobody_who_was_not_shown",
    "test_a_store_that_is_away_costs_a_minute",
    "test_all_others_end_and_this_one_stays",
    "test_all_others_go_and_the_account_stays",
    "test_all_that_is_kept_is_told_to_its_owner",
    "test_certificates_are_read_where_they_are_needed_alone",
    "test_each_call",
    "test_guesses_are_counted",
    "test_it_may_be_repeated_more_than_once",
    "test_it_is_reopened_as_it_was",
    "test_its_owner_is_told",
    "test_its_session_ends_and_its_certificate_is_revoked_in_one_change",
    "test_new_things_work_once_in_the_new_generation",
    "test_nobody_is_asked_and_nobody_is_forced_out",
    "test_nothing_of_it_is_left",
    "test_primary_is_the_first_and_secondary_are_the_others",
    "test_the_limit_stands_behind_it",
    "test_the_same_device_again_is_no_conflict",
    "test_then_a_wrong_password_does_not_and_is_counted",
    "test_they_are_listed_as_they_joined_whatever_the_clocks_say",
    "test_who_is_silent_for_half_a_minute_holds_nobody_up",
    "test_who_types_the_digits_lets_the_other_in",
    "test_with_consent_the_candidate_is_in_and_the_other_out_at_once",
    "test_without_a_limit_the_earliest_leaves_a_full_account",
    "test_without_consent_nothing_has_happened",
    "test_wrong_ones_are_counted",
}
"""No query and no eventual read tells of the state before: they look at lists, which strongly consistent queries tell,
and those tell no such thing (`tests/contract/test_dynamodb.py`). What is decided rests on no list, and all other use
cases show it."""

LEFT_OUT = {
    "test_elsewhere_two_items_are_taken_from_and_given_back_to": "it counts calls, and the engine's deletes are some",
    "test_a_takeover_makes_a_device_known_once": "it counts calls, and the engine's reads before a write are some",
    "test_a_consent_that_is_given_elsewhere_makes_the_device_known_there": "it counts calls, as above",
    "test_two_hosts_with_different_settings_give_the_same_answers": "a lost probe is made again half a minute later",
    "test_a_challenge_that_was_changed_is_not_ours": "it is refused before anything is stored, and takes long",
    "test_what_long_dead_processes_left_is_deleted_by_the_next_that_starts": "the engine hides what has expired",
    "test_what_is_refused_at_enrolment": "it is refused before anything is stored, and takes long",
    "test_killed_at_any_write_it_is_taken_up_again": "it kills below the engine, at each write, and takes long",
}
"""Tests of a module that runs here otherwise, each with its reason."""

ELSEWHERE = {
    "admin_app": "its app stands on the store below the suite",
    "audit_of_keys": "it kills below the engine, at each write",
    "check_store": "a command opens its store itself",
    "clock_skew": "processes on one store, each with a clock; the engine deletes by one",
    "components": "parts without a suite",
    "doctor": "a command opens its store itself",
    "embedded": "a program opens its store itself",
    "fast_path": "it compares the calls of two paths",
    "forward_auth_methods": "how proxies ask; nothing is stored",
    "forwarded_certificates": "what proxies tell; nothing is stored",
    "idle_reads": "it counts reads",
    "log_canaries": "it looks at what is logged, by all modules of the suite",
    "move": "it moves between stores that commands open themselves",
    "on_loop": "prompt reads, which only SQLite has",
    "one_time": "processes on one store, each with a clock; the engine deletes by one",
    "readiness": "it counts probes, and plants its own failures",
    "sweep": "it has the unkind engine below a command, of its own",
    "store_failures": "it plants its own failures at each call",
}
"""Modules of use cases that do not run here, each with its reason."""
