"""An operator who finds a person on the page by mouse and keyboard, and counts the clicks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.helpers.browser import Browser

_CARDS = "[...document.querySelectorAll('#hits > li:not([hidden])')]"


@dataclass
class Operator:
    """Works in a browser; `clicks` are those since the sign-in page."""

    browser: Browser
    clicks: int = 0

    def click(self, selector: str) -> None:
        """A click of the mouse on the element, which must be in view or come into view."""
        box = "(element.scrollIntoView({block: 'center'}), element.getBoundingClientRect())"
        middle = f"(element => (box => [box.x + box.width / 2, box.y + box.height / 2])({box}))"
        x, y = self.browser.evaluate(f"{middle}(document.querySelector({selector!r}))")
        self.browser.drag((x, y), (x, y))
        self.clicks += 1

    def sign_in(self, address: str, token: str) -> None:
        """With the token, which the page waits for."""
        self.browser.open(f"{address}/sign-in")
        self.browser.type(token)
        self.click("form button")
        self.browser.wait_for("document.querySelector('#search') && document.readyState === 'complete'")

    def open_case(self, title: str, reason: str) -> None:
        """A case of one's own, by a click and the keyboard."""
        self.click(".case summary")
        self.browser.wait_for("document.activeElement.id === 'title'")
        self.browser.type(title)
        self.browser.press("Enter", "Enter")
        self.browser.wait_for("document.activeElement.name === 'reason'")
        self.browser.type(reason)

    def find(self, photos: Sequence[Path]) -> list[tuple[str, int]]:
        """Searches by photos; the sightings in view, the first one first, when the first has its picture."""
        self.browser.evaluate(f"{_CARDS}.forEach(card => card.classList.add('before'))")
        self.clicks += 1  # opens the browser's own dialog for files
        self.browser.choose_files("[name=photo]", *photos)
        self.browser.wait_for(f"document.querySelectorAll('#photos svg').length === {len(photos)}", timeout_s=60)
        self.click("#search .primary")
        first = f"{_CARDS}[0]"
        self.browser.wait_for(f"{first}?.matches(':not(.before)') && {first}.querySelector('img').naturalWidth", 60)
        addresses: list[Any] = self.browser.evaluate(f"{_CARDS}.map(card => card.querySelector('img').src)")
        return [_sighting(address) for address in addresses]

    def tell_where_seen(self, camera: str, time: str, within_minutes: int) -> None:
        """The person was seen at a camera at a local time, `2026-05-01T21:00:00`: a click, the rest by keyboard."""
        self.clicks += 1  # opens the browser's own list of places
        for field, value in {"place": camera, "time": time, "within": str(within_minutes)}.items():
            changed = "field.dispatchEvent(new Event('input', {bubbles: true}))"
            self.browser.evaluate(
                f"(field => (field.value = {value!r}, {changed}))(document.querySelector('#seen-{field}'))"
            )

    def clear(self) -> None:
        """Empties the form for the next person; case and reason stay."""
        self.click("#search [type=reset]")
        self.browser.wait_for("!document.querySelector('#photos li')")


def _sighting(crop: str) -> tuple[str, int]:
    """District and tracklet id in the address of a crop."""
    *_, district, tracklet_id = urlsplit(crop).path.split("/")
    return district, int(tracklet_id)
