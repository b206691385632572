from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from serving.access.accounts import Account, account_named, create_account
from serving.access.roles import Role
from serving.cases import cases, visible
from serving.cases.searches import RecordedRequest, record_search
from serving.cases.verdict import Verdict
from serving.cases.visible import UnknownCaseError
from serving.database import audit, queries, tables
from serving.database.locks import lock_cases
from serving.database.retention import remove_before
from serving.database.store import Store
from serving.search.coverage import CameraCoverage, Coverage, Span
from serving.search.messages import SearchAnswer, SightingId
from serving.search.search import Hit
from serving.search.service import UnknownSightingError
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, tracklet, unit_vectors


@pytest.fixture
def people(store: Store) -> dict[str, Account]:
    """A reviewer, two operators and an auditor; four tracklets are stored."""
    embeddings = unit_vectors(seed=0, number=4, feature=16)
    store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(i + 1, embeddings[i]) for i in range(4)])
    roles = {"lee": Role.REVIEWER, "kim": Role.OPERATOR, "park": Role.OPERATOR, "choi": Role.AUDITOR}
    with store.begin() as connection:
        for name, role in roles.items():
            create_account(connection, name, role, "test")
        return {name: account_named(connection, name) for name in roles}


@pytest.fixture
def case(store: Store, people: dict[str, Account]) -> int:
    """One that names the operator kim, and whose searches found all four."""
    with store.begin() as connection:
        opened = cases.open_case(connection, people["lee"], "Red coat", ["kim"])
        visible.show_in_case(connection, opened.id, [("demo", number) for number in range(1, 5)])
        return opened.id


def judge(store: Store, account: Account, case: int, number: int, verdict: Verdict) -> None:
    with store.begin() as connection:
        cases.give_verdict(connection, account, case, SightingId(district="demo", tracklet_id=number), verdict)


def lift_hold(store: Store, account: Account, case: int) -> None:
    with store.begin() as connection:
        cases.hold_case(connection, account, case, held=False)


def in_case(store: Store, case: int) -> set[int]:
    table = tables.case_sightings
    with store.begin() as connection:
        return set(connection.execute(sa.select(table.c.tracklet_id).where(table.c.case_id == case)).scalars())


def test_operators_see_cases_that_name_them_and_reviewers_all(
    store: Store, people: dict[str, Account], case: int
) -> None:
    with store.begin() as connection:
        other = cases.open_case(connection, people["lee"], "Blue coat", []).id
        seen = {name: [one.id for one in visible.cases_of(connection, people[name])] for name in people}
        assert seen == {"lee": [other, case], "kim": [case], "park": [], "choi": []}
        assert visible.case_of(connection, people["kim"], case).operators == ["kim"]
        for name, number in (("park", case), ("kim", other), ("lee", 99)):
            with pytest.raises(UnknownCaseError, match=f"must be one that {name} may work on, got {number}"):
                cases.case_details(connection, people[name], number)
        cases.name_operators(connection, people["lee"], case, ["park", "park"])
        assert visible.case_of(connection, people["park"], case).operators == ["park"]
        assert visible.cases_of(connection, people["kim"]) == []


@pytest.mark.parametrize(("operator", "message"), [("choi", "with the role operator, got choi"), ("x", "must exist")])
def test_only_operators_are_named(store: Store, people: dict[str, Account], operator: str, message: str) -> None:
    with store.begin() as connection, pytest.raises(InputError, match=message):
        cases.open_case(connection, people["lee"], "Red coat", ["kim", operator])


def test_the_last_verdict_counts_and_all_are_kept(store: Store, people: dict[str, Account], case: int) -> None:
    given = [(1, Verdict.CONFIRMED), (2, Verdict.CONFIRMED), (3, Verdict.REJECTED), (1, Verdict.CONFIRMED)]
    for number, verdict in [*given, (2, Verdict.REJECTED), (3, Verdict.NONE)]:
        judge(store, people["kim"], case, number, verdict)
    assert in_case(store, case) == {1}
    with store.begin() as connection:
        details = cases.case_details(connection, people["kim"], case)
        exported = cases.export_case(connection, people["lee"], case)
        audit.verify(connection)
    assert [(one.tracklet_id, one.verdict) for one in details.verdicts] == [(1, "confirmed"), (2, "rejected")]
    assert [(one.camera_id, one.first_seen) for one in details.verdicts] == [("cam0", NOON)] * 2
    assert [one.verdict for one in exported.verdicts if one.tracklet_id == 3] == ["rejected", "none"]
    assert {one.account for one in exported.verdicts} == {"kim"}


def test_two_who_confirm_at_once_confirm_it_once(store: Store, people: dict[str, Account], case: int) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: judge(store, people["lee"], case, 1, Verdict.CONFIRMED), range(16)))
    assert in_case(store, case) == {1}


def test_a_verdict_waits_for_who_removes_sightings_and_neither_gives_up(
    store: Store, people: dict[str, Account], case: int
) -> None:
    with ThreadPoolExecutor(1) as other:
        with store.begin() as removing:
            lock_cases(removing)  # as retention and ingest begin
            judging = other.submit(judge, store, people["kim"], case, 1, Verdict.CONFIRMED)
            assert not wait([judging], timeout=0.3).done
            removing.exec_driver_sql("LOCK TABLE tracklets")  # as they go on: PostgreSQL would end one of two in a ring
        judging.result()
    assert in_case(store, case) == {1}


def test_a_verdict_that_comes_while_a_hold_is_lifted_is_cleared_up_after(
    store: Store, people: dict[str, Account], case: int
) -> None:
    judge(store, people["kim"], case, 1, Verdict.CONFIRMED)
    with store.begin() as connection:
        cases.hold_case(connection, people["lee"], case, held=True)
    sighting = SightingId(district="demo", tracklet_id=1)
    with ThreadPoolExecutor(1) as other:
        with store.begin() as connection:
            cases.give_verdict(connection, people["kim"], case, sighting, Verdict.REJECTED)
            lifted = other.submit(lift_hold, store, people["lee"], case)
            assert not wait([lifted], timeout=0.3).done
        lifted.result()
    assert in_case(store, case) == set()


def test_verdicts_need_a_case_one_may_work_on_and_a_stored_sighting(
    store: Store, people: dict[str, Account], case: int
) -> None:
    with pytest.raises(UnknownCaseError):
        judge(store, people["park"], case, 1, Verdict.CONFIRMED)
    for verdict in (Verdict.CONFIRMED, Verdict.REJECTED):
        with pytest.raises(UnknownSightingError, match="does not show demo/99"):
            judge(store, people["kim"], case, 99, verdict)


def test_what_is_confirmed_under_a_legal_hold_survives_retention(
    store: Store, people: dict[str, Account], case: int
) -> None:
    for number in (1, 2):
        judge(store, people["kim"], case, number, Verdict.CONFIRMED)
    with store.begin() as connection:
        assert cases.hold_case(connection, people["lee"], case, held=True).legal_hold
    judge(store, people["kim"], case, 2, Verdict.REJECTED)
    assert in_case(store, case) == {1, 2}  # under a hold none leaves it
    remove_before(store, NOON + timedelta(days=1), "old")
    assert {
        one.id for one in in_transaction(store, queries.tracklets, [("demo", number) for number in range(1, 5)])
    } == {1, 2}
    lift_hold(store, people["lee"], case)
    assert in_case(store, case) == {1}  # what was rejected under the hold leaves it with the hold
    remove_before(store, NOON + timedelta(days=1), "old")
    assert in_transaction(store, queries.tracklets, [("demo", 1), ("demo", 2)]) == []
    with store.begin() as connection:
        assert len(cases.export_case(connection, people["lee"], case).verdicts) == 3  # they outlive the sightings
        judged = cases.case_details(connection, people["lee"], case).verdicts
    assert [(one.tracklet_id, one.camera_id) for one in judged] == [(1, None), (2, None)]
    judge(store, people["kim"], case, 1, Verdict.NONE)


def test_a_closed_case_takes_no_more_work_and_keeps_its_hold(
    store: Store, people: dict[str, Account], case: int
) -> None:
    with store.begin() as connection:
        cases.hold_case(connection, people["lee"], case, held=True)
        closed = cases.close_case(connection, people["lee"], case)
        assert closed.legal_hold
        assert closed.closed is not None
        with pytest.raises(InputError, match="the case must be open, 1 was closed on"):
            cases.close_case(connection, people["lee"], case)
        with pytest.raises(InputError, match="the case must be open"):
            visible.open_case_of(connection, people["kim"], case)
    with pytest.raises(InputError, match="the case must be open"):
        judge(store, people["kim"], case, 1, Verdict.CONFIRMED)


def test_a_search_is_kept_with_its_reason_and_its_coverage(store: Store, people: dict[str, Account], case: int) -> None:
    seen = Hit(
        district="demo",
        tracklet_id=3,
        camera_id="cam0",
        latitude=35.0,
        longitude=128.0,
        first_seen=NOON,
        last_seen=NOON,
        distance=0.1,
        match_probability=0.9,
        crop="crops/demo/1/000003.jpg",
        model_version="net-1",
    )
    gap = Span(since=NOON, until=None, reason="cut")
    searched = Span(since=NOON - timedelta(hours=1), until=NOON)
    camera = CameraCoverage(
        district="demo", camera_id="cam0", share=0.5, searched=[searched], waiting=[], failed=[], gaps=[gap]
    )
    covered = Coverage(since=searched.since, until=NOON + timedelta(hours=1), share=0.5, cameras=[camera])
    answer = SearchAnswer(
        model_version="net-1",
        deployment_version="0123456789ab",
        people_xyxy=[],
        sightings=[seen, seen.model_copy(update={"tracklet_id": 1})],
        coverage=covered,
    )
    question = {"top_k": 2, "since": datetime(2026, 5, 1, tzinfo=UTC).isoformat()}
    request = RecordedRequest(case_id=case, reason="실종", question=question)
    with store.begin() as connection:
        record_search(connection, people["kim"], request, "ab" * 32, answer)
        kept = cases.export_case(connection, people["lee"], case).searches[0]
        details = [record.details for record in audit.records(connection) if record.action == "search"]
        audit.verify(connection)
    assert (kept.account, kept.reason, kept.question, kept.photo_sha256) == ("kim", "실종", question, "ab" * 32)
    assert kept.found == [("demo", 3), ("demo", 1)]
    assert kept.coverage == covered
    assert details[0]["found"] == [["demo", 3], ["demo", 1]]


def test_a_closed_case_shows_what_was_judged_in_it_alone(store: Store, people: dict[str, Account], case: int) -> None:
    sightings = [SightingId(district="demo", tracklet_id=number) for number in (1, 2)]
    judge(store, people["kim"], case, 1, Verdict.REJECTED)
    with store.begin() as connection:
        for sighting in sightings:
            visible.require_in_view(connection, people["kim"], case, sighting)
        with pytest.raises(UnknownCaseError):
            visible.require_in_view(connection, people["park"], case, sightings[0])
        cases.close_case(connection, people["lee"], case)
        visible.require_in_view(connection, people["kim"], case, sightings[0])
        with pytest.raises(InputError, match="shows only sightings that were judged in it, 1 is closed"):
            visible.require_in_view(connection, people["kim"], case, sightings[1])


def test_who_looks_at_a_case_is_in_the_audit(store: Store, people: dict[str, Account], case: int) -> None:
    with store.begin() as connection:
        cases.case_details(connection, people["kim"], case)
        last = list(audit.records(connection))[-1]
    assert (last.account, last.action, last.details) == ("kim", "view case", {"case_id": case})


def test_whatever_changes_in_a_case_is_in_the_audit(store: Store, people: dict[str, Account], case: int) -> None:
    with store.begin() as connection:
        cases.hold_case(connection, people["lee"], case, held=True)
        cases.name_operators(connection, people["lee"], case, ["park"])
        cases.close_case(connection, people["lee"], case)
        recorded = [record for record in audit.records(connection) if record.action == "case"]
    assert {record.account for record in recorded} == {"lee"}
    assert [record.details for record in recorded] == [
        {"case_id": case, "opened": "Red coat", "operators": ["kim"], "second_person": False, "districts": None},
        {"case_id": case, "legal_hold": True},
        {"case_id": case, "operators": ["park"]},
        {"case_id": case, "closed": True},
    ]
