"""The next shift goes on with a case, in a browser of its own, without asking the last one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from domain.settings import PARAMS
from serving import package
from serving.access.roles import Role
from serving.database.store import open_store
from tests.end_to_end.conftest import free_port, server
from tests.end_to_end.test_operator_page import CARDS, Served, ask, click, fill, photo, search, sign_in
from tests.helpers.browser import Browser
from tests.helpers.deployments import RED, fill_store, picture, token_of, write_deployment
from tests.helpers.full_frames import add_full_frame

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CASE_READ = "!document.querySelector('[data-view=case]').disabled"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    deployment = write_deployment(tmp_path_factory.mktemp("handover") / "service")
    params = yaml.safe_load((deployment.root / PARAMS).read_text())
    params["serving"]["cases"] |= {"second_person": True, "emergency_hours": 1}
    (deployment.root / PARAMS).write_text(yaml.safe_dump(params))
    fill_store(deployment)
    with open_store(deployment.store) as store:
        add_full_frame(store)
    package._stage_code(deployment.root)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(deployment.root, command, f"http://127.0.0.1:{port}/readyz"):
        tokens = [token_of(deployment, "lee", Role.REVIEWER), token_of(deployment, "kim", Role.OPERATOR)]
        yield Served(f"http://127.0.0.1:{port}", *tokens)


def test_the_second_shift_goes_on_where_the_first_ended(chromium: str, served: Served, tmp_path: Path) -> None:
    with served.client() as client:
        opened = client.post("/v1/cases", json={"title": "빨간 외투의 아이", "operators": ["kim"]})
        case = str(opened.json()["id"])
    with Browser(chromium) as first:
        sign_in(first, served.address, served.token)
        fill(first, "[name=case]", case)
        fill(first, "[name=reason]", "보호자 실종 신고")
        first.wait_for(CASE_READ)
        first.choose_files("[name=photo]", photo(tmp_path, "child.png", picture(RED, seed=9)))
        first.wait_for("document.querySelectorAll('#photos li').length === 1")
        ask(first, "bag", "is", "backpack")
        search(first)
        found = first.evaluate(f"[...{CARDS}].map(card => card.ariaLabel)")
        click(first, "[data-view=case]")
        first.wait_for("!document.querySelector('#case').hidden")
        fill(first, "#note", "빨간 모자를 벗었을 수 있음")
        click(first, "#add-note button")
        first.wait_for("document.querySelectorAll('#case-notes li').length === 1")
        assert first.complaints == []
    with Browser(chromium) as second:
        sign_in(second, served.address, served.operator)
        fill(second, "[name=case]", case)
        second.wait_for("!document.querySelector('#go-on').hidden")
        assert "lee" in second.evaluate("document.querySelector('#go-on').innerText")
        second.evaluate("document.querySelector('#go-on button').focus()")
        second.press("Enter", "Enter")
        second.wait_for("document.querySelectorAll('#photos li').length === 1")
        assert second.evaluate("document.querySelector('[name=reason]').value") == "보호자 실종 신고"
        search(second)
        assert second.evaluate(f"[...{CARDS}].map(card => card.ariaLabel)") == found
        click(second, "[data-view=case]")
        second.wait_for("document.querySelector('#case-notes').innerText.includes('빨간 모자를')")
        second.wait_for("document.querySelector('#case-photos img').naturalWidth")
        assert second.barriers() == []
        assert second.complaints == []


def test_the_second_person_judges_without_knowing_the_first_verdict(chromium: str, served: Served) -> None:
    with served.client() as client:
        case = str(client.post("/v1/cases", json={"title": "두 사람", "operators": ["kim"]}).json()["id"])

    def begin(browser: Browser, token: str) -> None:
        sign_in(browser, served.address, token)
        fill(browser, "[name=case]", case)
        fill(browser, "[name=reason]", "보호자 실종 신고")
        browser.wait_for(CASE_READ)

    with Browser(chromium) as first:
        begin(first, served.operator)
        ask(first, "bag", "is", "backpack")
        search(first)
        first.evaluate(f"{CARDS}[0].focus()")
        for code, key in [("KeyC", "c"), ("ArrowRight", "ArrowRight"), ("KeyR", "r")]:
            first.press(code, key)
        waits = "다른 사람의 판단을 기다림"
        first.wait_for(f"[...{CARDS}].slice(0, 2).every(card => card.innerText.includes('{waits}'))")
        assert first.evaluate("document.querySelector('[data-view=route]').disabled")
        assert first.complaints == []
    with Browser(chromium) as second:
        begin(second, served.token)
        second.wait_for("document.querySelector('#to-judge').innerText.includes('2건')")
        click(second, "#to-judge button")
        cards = "document.querySelectorAll('#second > li')"
        second.wait_for(f"{cards}.length === 2 && {cards}[0].querySelector('img').naturalWidth")
        assert second.evaluate(f"[...{cards}].map(card => card.dataset.verdict)") == ["none", "none"]
        assert "kim" not in second.evaluate("document.querySelector('#for-second').innerText")
        assert second.evaluate("document.querySelectorAll('#judged > li').length") == 0
        assert second.barriers() == []
        second.evaluate(f"{cards}[0].focus()")
        second.press("KeyC", "c")
        second.wait_for(f"/두 사람이 ‘맞음’|기다림/.test({cards}[0].innerText)")
        second.press("ArrowRight", "ArrowRight")
        second.press("KeyC", "c")
        second.wait_for(f"/두 사람이 ‘맞음’|기다림/.test({cards}[1].innerText)")
        standing = f"[...{cards}].map(card => card.querySelector('.standing').innerText).sort()"
        assert second.evaluate(standing) == [waits, "두 사람이 ‘맞음’"]
        click(second, "[data-view=route]")
        second.wait_for(
            "!document.querySelector('#route').hidden && document.querySelectorAll('#route tbody tr').length"
        )
        click(second, "[data-view=case]")
        second.wait_for("document.querySelectorAll('#judged > li').length === 2")
        assert "kim, lee" in second.evaluate("document.querySelector('#judged').innerText")
        assert second.barriers() == []
        assert second.complaints == []


def test_a_reviewer_is_told_of_an_emergency_and_agrees(chromium: str, served: Served) -> None:
    with Browser(chromium) as reviewer, Browser(chromium) as operator:
        sign_in(reviewer, served.address, served.token)
        sign_in(operator, served.address, served.operator)
        assert reviewer.evaluate("document.querySelector('#emergency-title')") is None
        operator.evaluate("document.querySelector('#emergency-title').closest('details').open = true")
        fill(operator, "#emergency-title", "강가의 아이")
        fill(operator, "#emergency-reason", "물가에 있음")
        operator.evaluate("document.querySelector('#emergency-reason').focus()")
        operator.press("Enter", "Enter")
        operator.wait_for(CASE_READ)
        assert operator.evaluate("document.querySelector('[name=reason]').value") == "물가에 있음"
        click(operator, "[data-view=case]")
        operator.wait_for("document.querySelector('#emergency').innerText.includes('동의하지 않으면')")
        reviewer.wait_for("!document.querySelector('#emergencies').hidden")
        shown = reviewer.evaluate("document.querySelector('#emergencies').innerText")
        assert "kim" in shown
        assert "강가의 아이" in shown
        assert "물가에 있음" in shown
        assert reviewer.barriers() == operator.barriers() == []
        click(reviewer, "#emergencies li button")
        reviewer.wait_for("document.querySelector('#emergencies').hidden")
        click(operator, "[data-view=case]")
        operator.wait_for("document.querySelector('#emergency').innerText.includes('lee님이 동의했습니다')")
        assert reviewer.complaints == operator.complaints == []


def matched_by_two(served: Served, *sightings: int) -> str:
    """Number of a case in which the operator and the reviewer confirmed these sightings, which a search found."""
    operator = httpx.Client(base_url=served.address, headers={"Authorization": f"Bearer {served.operator}"}, timeout=60)
    with served.client() as reviewer, operator:
        case = str(reviewer.post("/v1/cases", json={"title": "빨간 외투의 아이", "operators": ["kim"]}).json()["id"])
        asked = {"case": case, "reason": "missing", "attributes": '{"bag": "backpack"}', "top_k": "12"}
        assert operator.post("/v1/search", data=asked).status_code == 200
        for number in sightings:
            given = {"district": "demo", "tracklet_id": number, "verdict": "confirmed"}
            for client in (operator, reviewer):
                assert client.post(f"/v1/cases/{case}/verdicts", json=given).status_code == 200
    return case


def test_a_sheet_opens_on_a_telephone_until_it_is_taken_out_of_use(chromium: str, served: Served) -> None:
    case = matched_by_two(served, 1, 4)
    with Browser(chromium) as operator, Browser(chromium) as telephone:
        sign_in(operator, served.address, served.operator)
        fill(operator, "[name=case]", case)
        fill(operator, "[name=reason]", "보호자 실종 신고")
        operator.wait_for(CASE_READ)
        click(operator, "[data-view=case]")
        operator.wait_for("!document.querySelector('#new-sheet').hidden && !document.querySelector('#case').hidden")
        fill(operator, "#sheet-note", "강 쪽으로 걸어감")
        click(operator, "#make-sheet")
        operator.wait_for("!document.querySelector('#sheet-link').hidden", timeout_s=60)
        link = operator.evaluate("document.querySelector('#sheet-link input').value")
        assert link.startswith(f"{served.address}/sheet#")
        assert operator.barriers() == []
        telephone.resize(390, 844, is_phone=True)
        telephone.open(link)
        telephone.wait_for("document.querySelectorAll('ol > li').length === 2")
        shown = telephone.evaluate("document.body.innerText")
        assert "1. Gate 0" in shown
        assert "두 사람이 서로의 판단을 모른 채 따로 확인: kim, lee" in shown
        assert "강 쪽으로 걸어감" in shown
        telephone.wait_for("[...document.querySelectorAll('img')].every(image => image.naturalWidth)")
        assert telephone.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert telephone.barriers() == []
        secret = link.split("#")[1]
        assert not any(secret in address for address in telephone.requests if not address.startswith("data:"))
        click(operator, "#sheets li button")
        operator.wait_for("!document.querySelector('#sheets li button')")
        telephone.open(f"{served.address}/sheet?again#{secret}")
        telephone.wait_for("document.body.innerText.includes('사용할 수 없는 주소입니다')")
        assert operator.complaints == []


def test_a_wrong_attribute_is_corrected_on_the_spot(chromium: str, served: Served) -> None:
    with served.client() as client:
        case = str(client.post("/v1/cases", json={"title": "가방", "operators": ["kim"]}).json()["id"])
    with Browser(chromium) as browser:
        sign_in(browser, served.address, served.operator)
        fill(browser, "[name=case]", case)
        fill(browser, "[name=reason]", "보호자 실종 신고")
        browser.wait_for(CASE_READ)
        ask(browser, "bag", "is", "backpack")
        search(browser)
        click(browser, "#hits > li [data-correct]")
        browser.wait_for("document.querySelector('#correct').open")
        fill(browser, "#correct-label", "none")
        assert browser.barriers() == []
        click(browser, "#save-correction")
        browser.wait_for("!document.querySelector('#correct').open")
        corrected = "document.querySelector('#hits > li .corrected')"
        assert "가방: 없음" in browser.evaluate(f"{corrected}.innerText")
        search(browser)
        assert "바로잡음" in browser.evaluate(f"{corrected}.innerText")
        assert browser.complaints == []
