from pathlib import Path

import pytest

from domain.errors import InputError
from serving.web import page_files
from serving.web.scripts import script_of


def write(folder: Path, **modules: str) -> Path:
    for name, source in modules.items():
        (folder / f"{name}.js").write_text(source)
    return folder


def test_modules_come_once_each_before_those_that_import_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        page='import { two } from "./b.js";\nimport { one as first } from "./a.js";\nimport "./c.js";\nfirst(two);\n',
        b='import { one } from "./a.js";\nexport const two = one() + 1;\n',
        a="export function one() {\n  return 1;\n}\nexport async function three() {}\n",
        c='document.title = "c";\n',
    )
    assert script_of(tmp_path, "page") == (
        "const from_a = (() => { // a.js\nfunction one() {\n  return 1;\n}\nasync function three() {}\n\n"
        "return { one, three };\n})();\n"
        "const from_b = (() => { // b.js\nconst { one } = from_a;\nconst two = one() + 1;\n\nreturn { two };\n})();\n"
        'const from_c = (() => { // c.js\ndocument.title = "c";\n\nreturn {  };\n})();\n'
        "const from_page = (() => { // page.js\nconst { two } = from_b;\nconst { one: first } = from_a;\n"
        "first(two);\n\nreturn {  };\n})();\n"
    )


@pytest.mark.parametrize(
    "source", ['import all from "./a.js";', 'import * as a from "./a.js";', "export default 1;", "await 1;"]
)
def test_other_forms_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match=r"^page\.js must import as in: .*; got "):
        script_of(write(tmp_path, page=source, a="export const a = 1;\n"), "page")


def test_modules_that_import_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a='import "./b.js";\n', b='import "./a.js";\n')
    with pytest.raises(InputError, match="got a → b → a"):
        script_of(tmp_path, "a")


def test_the_page_gets_all_of_its_modules_and_style_sheets() -> None:
    script, style = page_files._SENT["page.js"], page_files._SENT["page.css"]
    folder = Path(page_files.__file__).parent / "page"
    others = {"sheet.js", "sheet.css", "admin.css", "sign-in.css"}  # of other pages
    for file in folder.glob("*.js"):
        assert (f"// {file.name}\n" in script) == (file.name not in others)
    for file in folder.glob("*.css"):
        assert (file.read_text() in style) == (file.name not in others)
