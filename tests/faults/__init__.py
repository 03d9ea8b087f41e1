"""What a trusted monitor survives: the faults that we promise to survive, and the tests that show it.

What may live here: tests that let a fault happen to the whole house, and see what a user sees then; and the
map of all faults to their tests, wherever those are.
"""

from __future__ import annotations

from collections.abc import Mapping

FAULTS: Mapping[int, str] = {
    1: "kill -9 at any commit point",
    2: "the disk is full",
    3: "an I/O error on write",
    4: "the power fails",
    5: "a database that is corrupt, or of a newer schema",
    6: "a database that another process has locked; a second daemon",
    7: "the clock jumps ten minutes on",
    8: "the clock jumps an hour back, or daylight saving begins or ends",
    9: "suspended for an hour",
    10: "SIGTERM in the middle of a send",
    11: "a connector hangs",
    12: "Slack answers 429 for minutes",
    13: "Retry-After is missing, a date, negative, endless",
    14: "a channel answers 404 or refuses our token",
    15: "a channel answers 500, or is not there, for six hours",
    16: "a channel accepts and then breaks the line",
    17: "a channel answers 200 and did not take it",
    18: "an answer trickles",
    19: "a gzip bomb, a body of a gigabyte",
    20: "lone surrogates, NUL, NaN, endless numbers, nesting without end",
    21: "posts reordered, doubled, edited, deleted, dated in the future; a reply before its parent",
    22: "a hostile post",
    23: "a user's regular expression that could take for ever",
    24: "a bad config at a reload",
    25: "slow clients, forged and replayed signatures, redirects elsewhere",
    26: "the first start on an account with years of history",
    27: "a reply may exist that we could not see",
}
"""What can go wrong, by the number by which tests and docs name it."""

TESTS: Mapping[int, tuple[str, ...]] = {
    1: (
        "tests/faults/test_store_faults.py::test_kill_nine_around_a_commit_keeps_page_and_cursor_together",
        "tests/acceptance/test_peers_complaints.py::test_10_a_crash_anywhere_on_the_way_loses_no_alert",
        "tests/acceptance/test_soak.py::test_each_is_delivered_in_order_and_doubled_at_most_once_a_kill",
    ),
    2: (
        "tests/faults/test_store_faults.py::test_a_full_disk_keeps_the_cursor_and_heals_by_itself",
        "tests/faults/test_store_faults.py::test_a_full_disk_is_no_heartbeat_and_the_alerts_come_when_there_is_space",
    ),
    3: ("tests/faults/test_store_faults.py::test_an_error_of_the_disk_leaves_the_page_unacknowledged",),
    4: ("tests/store/test_database.py::test_commits_survive_a_power_cut",),
    5: (
        "tests/store/test_database.py::test_a_corrupt_file_is_refused_and_left_alone",
        "tests/store/test_database.py::test_a_newer_versions_file_is_refused_and_left_alone",
        "tests/store/test_database.py::test_another_programs_database_is_refused_and_left_alone",
    ),
    6: (
        "tests/store/test_database.py::test_another_writer_is_waited_for_and_then_told",
        "tests/monitor/test_daemon.py::test_a_second_daemon_on_the_same_folder_does_not_start",
    ),
    7: ("tests/faults/test_store_faults.py::test_a_clock_that_jumps_says_each_breach_once",),
    8: (
        "tests/faults/test_store_faults.py::test_a_clock_that_jumps_says_each_breach_once",
        "tests/acceptance/test_peers_complaints.py::test_15_time_zones_and_daylight_saving",
    ),
    9: ("tests/faults/test_store_faults.py::test_after_an_hours_sleep_every_case_says_one_thing",),
    10: ("tests/faults/test_worker_faults.py::test_fault_10_a_stop_in_the_middle_of_a_send",),
    11: (
        "tests/contract/test_connectors.py::test_a_hanging_platform_holds_nobody_longer_than_the_limit",
        "tests/monitor/test_steps.py::test_a_connector_that_fails_for_long_is_told_and_its_recovery_too",
        "tests/acceptance/test_peers_complaints.py::test_11_a_dead_connector_is_told_and_nothing_is_claimed_to_be_known",
    ),
    12: (
        "tests/faults/test_worker_faults.py::test_fault_12_slack_says_429_for_minutes",
        "tests/monitor/test_workers.py::test_a_channel_that_asks_us_to_wait_is_left_alone_and_holds_no_other_up",
    ),
    13: (
        "tests/faults/test_channel_faults.py::test_fault_13_retry_after_in_any_form_is_kept_or_clamped",
        "tests/wire/test_http.py::test_retry_after_is_read_and_clamped",
    ),
    14: (
        "tests/faults/test_channel_faults.py::"
        "test_fault_14_a_channel_that_refuses_is_a_dead_letter_and_the_fallback_tells",
        "tests/contract/test_channels.py::test_each_refusal_says_what_can_be_done",
    ),
    15: (
        "tests/faults/test_long_outages.py::"
        "test_fault_15_six_hours_of_500_end_in_one_message_and_nothing_is_lost",
        "tests/faults/test_long_outages.py::test_fault_15_a_slack_that_nobody_reaches_for_an_hour",
        "tests/faults/test_long_outages.py::"
        "test_fault_15_a_digest_that_waited_until_all_were_answered_is_not_said",
        "tests/wire/test_http.py::test_an_unknown_name_has_done_nothing",
    ),
    16: (
        "tests/faults/test_channel_faults.py::"
        "test_fault_16_accepted_and_then_cut_off_is_doubled_at_most_once_with_its_key",
    ),
    17: (
        "tests/faults/test_channel_faults.py::test_fault_17_a_success_that_is_none_is_tried_again",
        "tests/faults/test_channel_faults.py::test_fault_17_ok_false_that_will_not_change_is_a_dead_letter",
    ),
    18: (
        "tests/faults/test_channel_faults.py::test_fault_18_an_answer_that_trickles_ends_with_the_time_limit",
        "tests/contract/test_hostile_texts.py::test_a_trickling_server_costs_no_more_than_the_time_limit",
        "tests/wire/test_sessions.py::test_an_answer_that_trickles_is_a_timeout",
    ),
    19: (
        "tests/wire/test_http.py::test_a_gzip_bomb_is_not_unpacked",
        "tests/wire/test_http.py::test_a_gigabyte_is_not_read",
        "tests/wire/test_sessions.py::test_a_gzip_bomb_is_not_unpacked",
        "tests/wire/test_sessions.py::test_a_gigabyte_is_not_read",
    ),
    20: (
        "tests/monitor/test_ingest.py::test_what_sqlite_cannot_hold_is_quarantined_alone",
        "tests/connectors/test_x_parse.py::test_monstrous_numbers_and_nesting_cost_only_their_own_place",
        "tests/connectors/test_reddit_parse.py::test_a_monstrous_value_spoils_nothing_but_itself",
        "tests/wire/test_http.py::test_an_answer_that_is_not_json_is_malformed",
    ),
    21: (
        "tests/monitor/test_ingest.py::test_any_order_and_any_doubling_gives_the_same_cases",
        "tests/monitor/test_ingest.py::test_an_edit_keeps_the_first_text_and_shows_the_newest",
        "tests/monitor/test_ingest.py::test_a_deleted_post_is_withdrawn_and_its_text_kept",
        "tests/monitor/test_ingest.py::test_a_post_dated_in_the_future_waits_from_when_we_saw_it",
    ),
    22: (
        "tests/faults/test_hostile_posts.py::test_fault_22_a_hostile_post_is_mere_text_wherever_it_is_read",
        "tests/contract/test_hostile_texts.py::test_strangers_words_do_nothing",
    ),
    23: (
        "tests/rules/meaning/test_patterns.py::"
        "test_an_expression_that_would_take_for_ever_elsewhere_does_not_here",
        "tests/rules/meaning/test_patterns.py::test_a_bad_expression_is_refused_by_name",
        "tests/rules/meaning/test_patterns.py::test_five_hundred_patterns_of_a_user_stay_fast_and_each_is_heard",
    ),
    24: ("tests/monitor/test_daemon.py::test_it_starts_is_scraped_reloads_and_stops",),
    25: (
        "tests/monitor/test_web.py::test_slow_clients_are_cut_off",
        "tests/alerts/test_slack_ear.py::test_a_callback_that_proves_nothing_is_refused",
        "tests/alerts/test_slack_ear.py::test_a_callback_counts_once",
        "tests/wire/test_http.py::test_a_redirect_is_not_followed",
        "tests/wire/test_sessions.py::test_a_redirect_to_another_place_is_refused",
    ),
    26: (
        "tests/monitor/test_steps.py::test_what_was_there_before_the_first_poll_is_the_past",
        "tests/monitor/test_ingest.py::test_imports_and_the_first_run_are_quiet",
    ),
    27: (
        "tests/monitor/test_steps.py::test_a_claim_waits_for_the_brands_posts_and_no_longer_than_it_may",
        "tests/monitor/test_many_at_once.py::test_blind_claims_say_that_nobody_knows",
        "tests/acceptance/test_peers_complaints.py::test_11_a_dead_connector_is_told_and_nothing_is_claimed_to_be_known",
    ),
}
"""By the number of a fault, the tests that show that it is survived."""
