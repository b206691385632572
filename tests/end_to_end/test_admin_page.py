"""The administrators' page, operated in a browser as an administrator operates it."""

import os
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from serving.access.roles import Role
from serving.deployment import Deployment
from tests.end_to_end.conftest import free_port, wait_until
from tests.helpers.browser import Browser
from tests.helpers.deployments import token_of
from tests.helpers.gated import application, bearer
from tests.helpers.operator import Operator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def address(deployment: Deployment) -> Iterator[str]:
    port = free_port()
    app = application(deployment)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, 30, lambda: "the server does not start")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)
    app.state.search_service.close()


@pytest.fixture
def admin(chromium: str, address: str, deployment: Deployment) -> Iterator[Operator]:
    """Has signed in, and followed the start page's link."""
    token = token_of(deployment, f"admin-{os.urandom(3).hex()}", Role.ADMIN)
    with Browser(chromium) as browser:
        at_work = Operator(browser)
        browser.open(f"{address}/sign-in")
        browser.type(token)
        at_work.click("form button")
        browser.wait_for("document.querySelector('a[href^=admin]') && document.readyState === 'complete'")
        at_work.click("a[href^=admin]")
        browser.wait_for("document.querySelector('#accounts') && document.readyState === 'complete'")
        yield at_work
        assert [each for each in browser.complaints if "400" not in each] == []


def row(name: str) -> str:
    return f"[...document.querySelectorAll('tbody tr')].find(row => row.cells[0].textContent === '{name}')"


def submit(admin: Operator, form: str, button: str, **fields: str) -> None:
    """Fills in the fields of a form, which is a JavaScript expression, by keyboard, and clicks a button of it."""
    browser = admin.browser
    browser.evaluate(f"window.form = {form}; window.form.closest('details')?.setAttribute('open', '')")
    for name, text in fields.items():
        browser.evaluate(f"(field => {{ field.focus(); field.select?.(); }})(window.form.elements['{name}'])")
        browser.type(text)
    browser.evaluate("document.body.dataset.before = 'yes'")
    browser.evaluate(f"window.form.querySelector('[value={button}]').id = 'pressed'")
    admin.click("#pressed")
    browser.wait_for("!document.body.dataset.before && document.readyState === 'complete'")


def new(button: str) -> str:
    return f"document.querySelector('section > form [value={button}]').form"


def test_accounts_and_cameras_are_managed_by_mouse_and_keyboard(admin: Operator, address: str) -> None:
    browser = admin.browser
    submit(admin, new("create-account"), "create-account", name="night", districts="demo", expires_days="30")
    token = browser.evaluate("document.querySelector('[role=status] code').textContent")
    assert browser.barriers() == []
    assert httpx.get(f"{address}/v1/cameras", headers=bearer(token)).status_code == 200
    assert browser.evaluate(f"[...{row('night')}.cells].slice(1, 3).map(one => one.textContent)") == ["담당자", "demo"]
    form = f"{row('night')}.querySelector('form')"
    browser.evaluate(f"{form}.elements.districts.value = ''")
    submit(admin, form, "bind-account")
    assert browser.evaluate(f"{row('night')}.cells[2].textContent") == "전체"
    submit(admin, new("add-camera"), "add-camera", district="demo", id="pier", latitude="35.85", longitude="128.6")
    submit(admin, f"{row('pier')}.querySelector('form')", "change-camera", name="부두 앞")
    assert browser.evaluate(f"{row('pier')}.cells[1].textContent") == "부두 앞"
    submit(admin, f"{row('pier')}.querySelector('form')", "retire-camera")
    assert browser.evaluate(f"{row('pier')}.className") == "retired"
    submit(admin, f"{row('night')}.querySelector('form')", "disable-account")
    assert httpx.get(f"{address}/v1/cameras", headers=bearer(token)).status_code == 401


def test_what_is_refused_is_said_and_only_that_is_typed_again(admin: Operator) -> None:
    submit(admin, new("create-account"), "create-account", name="day", districts="nowhere")
    said = admin.browser.evaluate("document.querySelector('[role=alert]').innerText")
    assert said.startswith("처리하지 못했습니다: districts must be stored ones (demo), got nowhere")
    assert admin.browser.barriers() == []
    submit(admin, new("create-account"), "create-account", districts="demo")
    assert admin.browser.evaluate(f"!!document.querySelector('[role=status] code') && !!{row('day')}")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_nothing_keeps_anybody_from_using_it(admin: Operator, address: str, language: str) -> None:
    browser = admin.browser
    browser.open(f"{address}/admin?lang={language}")
    browser.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
    assert browser.barriers() == []
    browser.resize(360, 740, is_phone=True)
    assert browser.evaluate(FITS)
    assert browser.barriers() == []
