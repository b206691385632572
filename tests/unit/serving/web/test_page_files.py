"""Words of the pages: two files with the same keys, each of which a template or a script uses."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from domain.errors import InputError
from serving.access.roles import Role
from serving.web import page_files
from serving.web.page_files import read_words

FOLDER = Path(page_files.__file__).parent / "page"
ROLES = {f"role_{role}" for role in Role}
PROBLEMS = {f"status_{status}" for status in (400, 401, 403, 404, 408, 413, 429, 503)}
FIELDS = (
    "since",
    "until",
    "area",
    "reason",
    "title",
    "operators",
    "text",
    "cameras",
    "note",
)  # in which the page sends what is typed
CODES = re.compile(r'(?:\bcode=|RefusedError\(\s*)"(\w+)"')  # of refusals, see serving.web.errors


def write(folder: Path, language: str, **sections: Any) -> None:
    (folder / f"words.{language}.yaml").write_text(yaml.safe_dump(sections))


def used_in(suffix: str) -> set[str]:
    files = [file for file in FOLDER.iterdir() if file.suffix == suffix]
    return {key for file in files for key in re.findall(r"\bwords\.(\w+)", file.read_text(encoding="utf-8"))}


def used_in_sheets() -> set[str]:
    """Words of sheets that their page and their texts use."""
    texts = [file.read_text(encoding="utf-8") for file in (FOLDER.parents[1] / "sheets").glob("*.py")]
    pages = [file.read_text(encoding="utf-8") for file in FOLDER.glob("*.html")]
    one_or_two = {"one", "two"}  # of which a text has one
    in_texts = {key for text in texts for key in re.findall(r"""\bwords\[["'](\w+)["']\]""", text)}
    return in_texts | one_or_two | {key for page in pages for key in re.findall(r"\bsaid\.(\w+)", page)}


def refusals() -> set[str]:
    sources = [file.read_text(encoding="utf-8") for file in FOLDER.parents[1].rglob("*.py")]
    codes = {code for source in sources for code in CODES.findall(source)} | {f"field_{field}" for field in FIELDS}
    return {f"refused_{code}" for code in codes}


def test_templates_and_scripts_use_every_word_and_no_other() -> None:
    for words in read_words(FOLDER).values():
        assert used_in(".html") | ROLES == set(words.page)
        assert used_in_sheets() == set(words.sheet)
        assert used_in(".js") | PROBLEMS | refusals() == set(words.scripts)


def test_each_reason_of_a_refusal_is_told_in_words_of_its_own() -> None:
    codes = {"photo_heic", "photo_pixels", "time_order", "case_unknown", "not_ready", "field_since"}  # of each kind
    assert {f"refused_{code}" for code in codes} <= refusals()
    for words in read_words(FOLDER).values():
        sentences = [words.scripts[key] for key in refusals()]
        assert len(set(sentences)) == len(sentences)


def test_words_are_read_by_language(tmp_path: Path) -> None:
    write(tmp_path, "ko", page={"title": "동선"}, scripts={"found": "{number}건"})
    write(tmp_path, "en", page={"title": "Route"}, scripts={"found": "{number} sightings"})
    languages = read_words(tmp_path)
    assert languages["en"].page == {"title": "Route"}
    assert languages["ko"].scripts == {"found": "{number}건"}


@pytest.mark.parametrize(
    ("page", "scripts", "key"),
    [
        pytest.param({}, {"found": "{number} sightings"}, "page.title", id="a key is missing"),
        pytest.param({"title": "Route", "new": "New"}, {"found": "{number}"}, "page.new", id="an unknown key"),
        pytest.param({"title": "Route"}, {"found": "{count} sightings"}, "scripts.found", id="another name in braces"),
    ],
)
def test_languages_with_different_words_are_refused(
    tmp_path: Path, page: dict[str, str], scripts: dict[str, str], key: str
) -> None:
    write(tmp_path, "ko", page={"title": "동선"}, scripts={"found": "{number}건"})
    write(tmp_path, "en", page=page, scripts=scripts)
    message = rf"words.en.yaml and words.ko.yaml must have the same keys .* differ in {key}$"
    with pytest.raises(InputError, match=message):
        read_words(tmp_path)


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "ko", page={}, scripts={}, pages={})
    with pytest.raises(ValidationError, match="pages"):
        read_words(tmp_path)
