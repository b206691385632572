"""Good annotations of each format that is imported, from which hostile ones are made, and what reads them."""

import json
from collections.abc import Callable
from pathlib import Path

from districts.import_data import READERS
from districts.importing.district_folder import import_annotated
from districts.importing.options import Options
from districts.importing.source_files import SourceFiles
from tests.helpers.imports_of_data import HEIGHT, WIDTH, draw

_NUM_PICTURES = 12
_NAMES = [f"f{number:02d}.jpg" for number in range(_NUM_PICTURES)]
_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><annotations>&i;</annotations>"
)
_COCO = {
    "images": [{"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(_NAMES)],
    "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 2, 3, 4]} for i in range(_NUM_PICTURES)],
    "categories": [{"id": 1, "name": "person"}],
}
_BOX = (
    '<box label="person" frame="{}" outside="0" xtl="1" ytl="2" xbr="9" ybr="12">'
    '<attribute name="bag">none</attribute></box>'
)
_IMAGES = "".join(
    f'<image id="{i}" name="{name}" width="{WIDTH}" height="{HEIGHT}">{_BOX.format(0)}<polygon label="person" '
    'points="1,2;3,4;5,6"/></image>'
    for i, name in enumerate(_NAMES)
)
_META = (
    "<meta><task><mode>interpolation</mode><start_frame>0</start_frame><stop_frame>11</stop_frame><frame_filter>step=1"
    f"</frame_filter><original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size></task></meta>"
)
_TRACKS = "".join(f'<track id="{i}" label="person">{_BOX.format(i)}{_BOX.format(i + 4)}</track>' for i in range(6))
_VOC = (
    f"<annotation><filename>f00.jpg</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height></size><object><name>"
    "person</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>12</ymax></bndbox></object></annotation>"
)
_REGION = {
    "type": "rectanglelabels",
    "id": "r",
    "value": {"x": 1, "y": 2, "width": 9, "height": 9, "labels": ["person"]},
}
_TASKS = [{"data": {"image": name}, "annotations": [{"result": [_REGION]}]} for name in _NAMES]
_TABLE = "image,identity,camera,split,gender\n" + "".join(
    f"{n},{i // 2},c{i % 2},,male\n" for i, n in enumerate(_NAMES)
)

# Format -> the file that is made hostile, and its good contents.
_FILES: dict[str, tuple[str, list[str]]] = {
    "coco": ("a.json", [json.dumps(_COCO), "[" * 5000]),
    "cvat": ("a.xml", [f"<annotations>{_IMAGES}</annotations>", f"<annotations>{_META}{_TRACKS}</annotations>", _BOMB]),
    "voc": ("f00.xml", [_VOC, _BOMB]),
    "label-studio": ("a.json", [json.dumps(_TASKS)]),
    "yolo": ("f00.txt", ["0 0.5 0.5 0.2 0.4\n" * 3, "0 0.1 0.1 0.5 0.1 0.5 0.6\n"]),
    "mot": ("gt.txt", ["".join(f"{i},{i},3.5,4,10,12,1,1,0.5\n" for i in range(1, 12))]),
    "crop-table": ("a.csv", [_TABLE]),
    "msmt17": ("list_train.txt", ["f00.jpg 0\n"]),
}
_BESIDE = {
    "yolo": {"classes.txt": "person\n"},
    "mot": {"seqinfo.ini": "[Sequence]\nframeRate=5\nimDir=img1\n"},
    "voc": {name.replace(".jpg", ".xml"): _VOC.replace(_NAMES[0], name) for name in _NAMES[1:]},
}


def annotations() -> dict[str, tuple[str, list[bytes], Callable[[Path], object]]]:
    """For each format: where its file lies, its good contents, and what reads it; nothing is written."""
    return {
        f"import {name}": (f"imports/{name}/{file}", [content.encode() for content in contents], _reading(name))
        for name, (file, contents) in _FILES.items()
    }


def _reading(name: str) -> Callable[[Path], object]:
    def read(file: Path) -> object:
        pictures = file.parent / "img1" if name == "mot" else file.parent
        if not (pictures / _NAMES[0]).exists():
            for picture in _NAMES:
                draw(pictures / picture)
            for other, text in _BESIDE.get(name, {}).items():
                (file.parent / other).write_text(text)
        files = SourceFiles(file.parent)
        return import_annotated(READERS[name](files), files, Options("town", fps=5.0), None)

    return read
