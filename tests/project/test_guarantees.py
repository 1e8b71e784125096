"""Every promise of docs/guarantees.md names a test that there is.

Rule: a promise without a test that can fail is not made, nor one without a figure where
there is something to measure.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from tests.together import together

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| promise |")
]

WITHOUT_FIGURE = {
    "test_no_entry_is_dropped_before_it_was_given_out",
    "test_a_server_refuses_it_and_nobody_else_is_disturbed",
    "test_nobody_waits_for_one_that_has_much_to_say",
    "test_a_server_whose_stderr_nobody_reads_serves_and_stops",
    "test_a_failure_costs_the_one_that_met_it_and_nobody_else",
    "test_credentials_and_tickets_reach_no_other_connection_and_no_log",
    "test_a_ticket_from_before_a_restart_is_like_one_that_never_was",
    "test_each_line_is_said_once_and_in_order_wherever_the_connection_is_cut",
    "test_a_gap_makes_what_is_in_doubt_unknown_and_waits_for_the_user",
    "test_a_signal_ends_it_with_goodbyes_and_code_0",
    "test_nobody_listens_beyond_loopback_with_an_open_door",
    "test_beyond_loopback_tokens_are_not_enough_unless_plaintext_is_allowed",
    "test_anything_else_proves_nothing",
    "test_without_a_good_certificate_nobody_gets_in_and_the_log_says_why",
    "test_what_is_not_tls_is_cut_off_and_logged_in_one_line",
    "test_strangers_do_not_keep_a_member_out",
    "test_a_session_goes_on_on_another_server",
    "test_a_server_that_was_stopped_for_long_is_fenced_and_serves_again",
    "test_an_engine_that_is_killed_and_comes_back_with_its_data_loses_nothing",
    "test_an_engine_that_comes_back_empty_ends_everybody_and_knows_no_ticket",
    "test_servers_that_are_all_stopped_let_nobody_leave_until_one_comes_back",
    "test_without_the_engine_only_who_has_nothing_in_doubt_is_told",
    "test_less_than_one_frame_is_held_once_the_events_are_taken",
}
"""Kept or not: nothing about these can be more or less."""


@cache
def functions_of(file: str) -> set[str]:
    """The functions of a file of tests."""
    tree = ast.parse((ROOT / "tests" / file).read_bytes())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


@together("row", ROWS, [row[0] for row in ROWS])
def test_a_promise_names_its_test(row: list[str]) -> None:
    _, named, _ = row

    found = re.fullmatch(r"`(.+\.py)::(\w+)`", named)

    assert found is not None
    assert found[2] in functions_of(found[1])


@together("row", ROWS, [row[0] for row in ROWS])
def test_a_figure_is_a_number_but_where_there_is_nothing_to_measure(row: list[str]) -> None:
    _, named, figure = row

    assert (figure == "–") == (named.strip("`").partition("::")[2] in WITHOUT_FIGURE)
    assert figure == "–" or re.search(r"\d", figure)


def test_there_are_promises() -> None:
    assert len(ROWS) > 20
