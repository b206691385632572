"""Text that others wrote takes no more memory or time than its length explains, and no file ends a command."""

import codecs
import os
import resource
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from domain.errors import ArtifactError, InputError
from domain.foreign_files import read_rows, read_text, read_yaml
from domain.model_card import read_card
from domain.schemas import read_schema
from tests.helpers.project import ROOT

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)
YAML = {
    "a list of lists of lists": (BOMB, "aliases that stand for more than 1000000 entries"),
    "an alias of itself": ("&a [*a]", "an alias must be of something that is complete"),
    "keys that are merged": (
        "a: &x {" + ",".join(f"k{i}: 1" for i in range(3000)) + "}\n"
        + "".join(f"b{i}:\n  <<: *x\n" for i in range(400)),
        "aliases that stand for more than",
    ),
    "brackets": ("[" * 60_000, "more than 20 levels"),
    "lines": ("- " * 30_000, "more than 20 levels"),
    "a tag": ("!!python/object/apply:os.system [id]", "tags are not taken"),
    "a timestamp that is none": ("!!timestamp x", "tags are not taken"),
    "a day that is none": ("2026-99-99", "a date or a number that is none"),
    "a number of 5000 digits": ("9" * 5000, "a date or a number that is none"),
    "a byte that is none": (b"\xff\xff", "must be text in UTF-8, byte 0 is not"),
    "a zero": ("a: \0", "a character, a date or a number that is none"),
    "much": ("# " + "x" * 2_000_000, "must have at most 2000000 bytes, got more"),
}  # fmt: skip


def write(file: Path, content: str | bytes) -> Path:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("kind", YAML)
@pytest.mark.slow
def test_yaml_that_is_more_than_it_looks_is_refused(tmp_path: Path, kind: str) -> None:
    content, complaint = YAML[kind]
    with pytest.raises(InputError, match=complaint) as caught:
        read_yaml(write(tmp_path / "a.yaml", content))
    assert len(str(caught.value)) < 500


def test_yaml_of_another_program_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "a: &x {y: 1.5}\nb: *x\nc:\n  <<: *x\nd: 2026-05-12\n")
    assert read_yaml(file)["c"] == {"y": 1.5}
    assert read_yaml(write(file, "a: 2026-05-12\n"), texts=True) == {"a": "2026-05-12"}
    with pytest.raises(InputError, match="anchors and aliases are not taken at line 1"):
        read_yaml(write(file, "a: &x b"), texts=True)


def test_a_few_hundred_bytes_take_no_memory(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", BOMB)
    program = "from pathlib import Path; from domain.foreign_files import read_yaml; read_yaml(Path('a.yaml'))"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=environment, preexec_fn=limit, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert file.stat().st_size < 700
    assert "InputError: a.yaml must be YAML: aliases that stand for more than" in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_file_that_is_none_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.yaml"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file = Path("/dev/zero")
    with pytest.raises(InputError, match=r"must be a re(gular|adable) file"):
        read_text(file, 1000)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("image,camera\n1.jpg,c1\n", "line 1: must also have the columns identity"),
        ("image,identity\n" + "x" * 200_000 + ",1\n", "must be CSV: field larger than field limit"),
        (b"image,identity\n\xff,1\n", "must be text in UTF-8"),
        ("", "must also have the columns image, identity"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_rows(write(tmp_path / "a.csv", content), ("image", "identity"))


TEXT = "image,identity,비고\n1.jpg,2,확인함\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp949"])
def test_text_of_a_known_encoding_is_read(tmp_path: Path, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path / f"{encoding}.csv", TEXT.encode(encoding))
    assert read_text(file, 1000) == TEXT
    assert read_rows(file, ("image",)) == {2: {"image": "1.jpg", "identity": "2", "비고": "확인함"}}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (encoding == "cp949")
    assert all("cp949.csv is not in UTF-8 and is read as cp949; to be sure, save it as UTF-8" in line for line in said)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_either_byte_order_is_read(tmp_path: Path, mark: bytes) -> None:
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    assert read_yaml(write(tmp_path / "a.yaml", mark + "이름: 문".encode(encoding))) == {"이름": "문"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("image,identité\n".encode("cp1252"), r"byte 13 is not; it may be in an encoding of Windows: save it as UTF-8"),
        (TEXT.encode("shift-jis", "replace") + "確認".encode("shift-jis"), "must be text in UTF-8, byte"),
        (TEXT.encode("utf-16-le"), "it looks like UTF-16 without a byte order mark: save it as UTF-8"),
        (b"image,identity\n1.jpg,2\n".decode().encode("utf-16-be"), "it looks like UTF-16 without"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\xb1" * 9, "looks like an Excel workbook: save it as “CSV UTF-8”"),
    ],
)
def test_text_of_another_encoding_is_refused_with_what_to_do(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        read_text(write(tmp_path / "a.csv", content), 1000)
    assert str(caught.value).startswith(f"{tmp_path}/a.csv must be text in UTF-8")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_spreadsheet_may_separate_and_write_the_header_its_own_way(tmp_path: Path, delimiter: str) -> None:
    lines = [
        ["", "", ""],
        [" Image", "IDENTITY ", ""],
        ["a,b.jpg" if delimiter != "," else "c.jpg", "3", ""],
        ["", "", ""],
    ]
    lines += [[unicodedata.normalize("NFD", "가.jpg"), " 4 ", ""]]
    file = write(tmp_path / "a.csv", "\r\n".join(delimiter.join(line) for line in lines))
    rows = read_rows(file, ("image", "identity"))
    assert rows == {3: {"image": lines[2][0], "identity": "3"}, 5: {"image": "가.jpg", "identity": "4"}}


def test_a_note_to_excel_is_no_header(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "sep=;\r\nimage;identity\r\n1.jpg;2\r\n")
    assert read_rows(file, ("image", "identity")) == {3: {"image": "1.jpg", "identity": "2"}}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("image,Image,identity\n", "line 1: must have each column once, got image repeatedly"),
        ('image,identity\n"1.jpg,2\n2.jpg,3\n', "must be CSV: unexpected end of data"),
        ("bild;nummer\n", "line 1: must also have the columns image, identity, got 'bild;nummer'"),
    ],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_rows(write(tmp_path / "a.csv", content), ("image", "identity"))


def test_a_row_has_every_cell_and_no_other(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "image,identity\n1.jpg\n2.jpg,2,\n")
    rows = {2: {"image": "1.jpg", "identity": ""}, 3: {"image": "2.jpg", "identity": "2"}}
    assert read_rows(file, ("image",)) == rows
    with pytest.raises(InputError, match="line 3: must have at most 2 cells, as the first line has, got 3"):
        read_rows(write(file, "image,identity\n1.jpg\n2.jpg,2,3\n"), ("image",))


@pytest.mark.parametrize(
    "content", [b"\xff", b"[" * 100_000, b"{" + b'"a":1,' * 400_000, b'{"task": "' + b"x" * 99_999]
)
def test_a_card_of_others_is_a_card_or_an_artifact_error(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "card.json", content)
    with pytest.raises(ArtifactError, match="must be a model card") as caught:
        read_card(tmp_path)
    assert len(str(caught.value)) < 600


def test_a_schema_of_others_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="aliases that stand for more"):
        read_schema(write(tmp_path / "a.yaml", BOMB))
