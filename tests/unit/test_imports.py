from pathlib import Path

from tests.helpers.imports import imported_modules


def test_imports_inside_functions_and_of_packages_are_followed(tmp_path: Path) -> None:
    files = {
        "a/__init__.py": "",
        "a/entry.py": "import os\nfrom b import deep\n\ndef later():\n    import c.lazy\n",
        "b/__init__.py": "from b.other import x as x\n",
        "b/deep.py": "",
        "b/other.py": "x = 1\n",
        "b/unused.py": "",
        "c/__init__.py": "",
        "c/lazy.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {str(file.relative_to(tmp_path)) for file in imported_modules("a.entry", tmp_path)}
    assert found == set(files) - {"b/unused.py"}
