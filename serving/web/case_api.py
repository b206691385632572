"""Endpoints of /v1 for cases and the audit."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from domain.names import Name
from domain.texts import AtMost
from serving.cases import boxes, cases, corrections, emergency
from serving.cases.boxes import CorrectedBox
from serving.cases.cases import CaseDetails, CaseExport
from serving.cases.corrections import Correction
from serving.cases.standing import Standing
from serving.cases.verdict import Verdict
from serving.cases.visible import CaseAnswer, cases_of
from serving.database import audit
from serving.database.audit import Action
from serving.database.viewing import unusual_days
from serving.matching.description import Label
from serving.search.messages import SightingId
from serving.web.dependencies import CaseRules, CurrentAccount, SearchService, Transaction
from serving.web.errors import declared

Text = Annotated[str, Field(pattern=r"\S"), AtMost(500)]  # not blank
AccountName = Annotated[str, AtMost(64)]
AccountNames = Annotated[list[AccountName], Field(max_length=1000)]
CaseId = Annotated[int, Field(ge=1, lt=2**63)]
CaseInPath = Annotated[CaseId, Path()]
Pixel = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
router = APIRouter()


class NewCase(BaseModel):
    """A case to open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Text
    operators: AccountNames = Field(default=[])  # accounts that may work on it, besides the reviewers
    districts: Annotated[list[Name], Field(min_length=1, max_length=1000)] | None = None  # default: the account's


class NewEmergency(BaseModel):
    """A case to open in an emergency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Text
    reason: Text


class LegalHold(BaseModel):
    """Whether a legal hold keeps the confirmed sightings of a case from removal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    held: StrictBool


class Operators(BaseModel):
    """Accounts that may work on a case, besides the reviewers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operators: AccountNames


class GivenVerdict(SightingId):
    """A sighting and the verdict on it."""

    verdict: Verdict


class NewCorrection(SightingId):
    """The right label of a sighting in an attribute group; None takes a correction back."""

    group: Label
    label: Label | None


class NewBox(SightingId):
    """Where the person stands in the full frame of a sighting, in pixels; None takes that back."""

    box_xyxy: tuple[Pixel, Pixel, Pixel, Pixel] | None  # left, top, right, bottom


class BoxesAnswer(BaseModel):
    """Corrected boxes of a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    boxes: list[CorrectedBox]


class CorrectionsAnswer(BaseModel):
    """Corrections of a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corrections: list[Correction]


class VerdictAnswer(BaseModel):
    """What the verdicts on a sighting come to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    standing: Standing


class CasesAnswer(BaseModel):
    """Cases on which the account may work, newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cases: list[CaseAnswer]


class RecordAnswer(BaseModel):
    """A record of the audit, see `serving.database.audit`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    at: datetime
    account: str
    action: str
    details: dict[str, Any]
    hash: str


class AuditAnswer(BaseModel):
    """Records in order; the next page begins after the last record's number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    records: list[RecordAnswer]


class UnusualDayAnswer(BaseModel):
    """An account's unusual day, see `serving.database.viewing`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: date  # UTC
    account: str
    crops: int  # viewed
    cases: int  # for which crops were viewed
    verdicts: int
    refusals: int  # recorded
    reasons: list[str]


class UnusualDaysAnswer(BaseModel):
    """Unusual days, the latest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: list[UnusualDayAnswer]


@router.post("/cases", status_code=201, responses=declared(400, 408, 413, 503))
def open_case(connection: Transaction, account: CurrentAccount, rules: CaseRules, new: NewCase) -> CaseAnswer:
    """Open a case."""
    return cases.open_case(
        connection, account, new.title, new.operators, new.districts, second_person=rules.second_person
    )


@router.post("/emergencies", status_code=201, responses=declared(400, 408, 413, 503))
def open_in_emergency(
    connection: Transaction, account: CurrentAccount, rules: CaseRules, new: NewEmergency
) -> CaseAnswer:
    """Open a case of the operator's own; unless a reviewer agrees in time, it is closed."""
    return emergency.open_in_emergency(connection, account, rules, new.title, new.reason)


@router.post("/cases/{case_id}/agree", responses=declared(400, 404, 503))
def agree(connection: Transaction, account: CurrentAccount, case_id: CaseInPath) -> CaseAnswer:
    """Agree to a case that an operator opened in an emergency."""
    return emergency.agree(connection, account, case_id)


@router.get("/cases", responses=declared(503))
def list_cases(connection: Transaction, account: CurrentAccount) -> CasesAnswer:
    """Cases on which the account may work, newest first."""
    return CasesAnswer(cases=cases_of(connection, account))


@router.get("/cases/{case_id}", responses=declared(404, 503))
def show_case(connection: Transaction, account: CurrentAccount, case_id: CaseInPath) -> CaseDetails:
    """A case and its judged sightings."""
    return cases.case_details(connection, account, case_id)


@router.post("/cases/{case_id}/close", responses=declared(400, 404, 503))
def close_case(connection: Transaction, account: CurrentAccount, case_id: CaseInPath) -> CaseAnswer:
    """Close the case to further searches; a legal hold stays."""
    return cases.close_case(connection, account, case_id)


@router.put("/cases/{case_id}/legal-hold", responses=declared(400, 404, 408, 413, 503))
def hold_case(connection: Transaction, account: CurrentAccount, case_id: CaseInPath, hold: LegalHold) -> CaseAnswer:
    """Set or lift the legal hold, which keeps the confirmed sightings of the case from removal."""
    return cases.hold_case(connection, account, case_id, held=hold.held)


@router.put("/cases/{case_id}/operators", responses=declared(400, 404, 408, 413, 503))
def name_operators(
    connection: Transaction, account: CurrentAccount, case_id: CaseInPath, named: Operators
) -> CaseAnswer:
    """Let these operators, and no others, work on the case."""
    return cases.name_operators(connection, account, case_id, named.operators)


@router.post("/cases/{case_id}/verdicts", responses=declared(400, 404, 408, 413, 503))
def give_verdict(
    connection: Transaction, account: CurrentAccount, case_id: CaseInPath, given: GivenVerdict
) -> VerdictAnswer:
    """Judge a sighting; the last verdict counts, or that of each person where the case asks for a second person."""
    sighting = SightingId(district=given.district, tracklet_id=given.tracklet_id)
    return VerdictAnswer(standing=cases.give_verdict(connection, account, case_id, sighting, given.verdict))


@router.post("/cases/{case_id}/corrections", responses=declared(400, 404, 408, 413, 503))
def correct(
    connection: Transaction, account: CurrentAccount, service: SearchService, case_id: CaseInPath, right: NewCorrection
) -> CorrectionsAnswer:
    """Correct an attribute of a sighting; the last correction counts, and becomes a label for retraining."""
    sighting = SightingId(district=right.district, tracklet_id=right.tracklet_id)
    schema = service.attribute_schema()
    told = corrections.correct(connection, account, case_id, sighting, right.group, right.label, schema)
    return CorrectionsAnswer(corrections=told)


@router.post("/cases/{case_id}/boxes", responses=declared(400, 404, 408, 413, 503))
def correct_box(connection: Transaction, account: CurrentAccount, case_id: CaseInPath, right: NewBox) -> BoxesAnswer:
    """Correct the box of the person in a sighting's full frame; the last one counts, for sheets and retraining."""
    sighting = SightingId(district=right.district, tracklet_id=right.tracklet_id)
    return BoxesAnswer(boxes=boxes.correct_box(connection, account, case_id, sighting, right.box_xyxy))


@router.get("/cases/{case_id}/export", responses=declared(404, 503))
def export_case(
    connection: Transaction, account: CurrentAccount, case_id: CaseInPath, response: Response
) -> CaseExport:
    """The whole record of a case, to save as a file."""
    response.headers["Content-Disposition"] = f'attachment; filename="case-{case_id}.json"'
    return cases.export_case(connection, account, case_id)


@router.get("/audit", responses=declared(400, 503))
def read_audit(
    connection: Transaction,
    account: CurrentAccount,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditAnswer:
    """Records with a number above `after`, in order; this reading is recorded too."""
    records = audit.read_by(connection, account.name, after, limit)
    return AuditAnswer(records=[RecordAnswer(**vars(record)) for record in records])


@router.get("/audit/unusual", responses=declared(400, 503))
def find_unusual_viewing(
    request: Request,
    connection: Transaction,
    account: CurrentAccount,
    days: Annotated[int, Query(ge=1, le=365)] = 7,
) -> UnusualDaysAnswer:
    """Accounts that viewed unusually many crops, or were refused often, in the last days; this reading is recorded."""
    found = unusual_days(connection, request.app.state.viewing, days)
    audit.append(connection, account.name, Action.READ_AUDIT, {"what": "unusual viewing", "days": days})
    return UnusualDaysAnswer(days=[UnusualDayAnswer(**vars(each)) for each in found])
