"""CUHK03 as pictures, for its original file is MATLAB 7.3: in one of two common forms.

CUHK03-NP (Zhong et al. 2017): folders bounding_box_train, query and bounding_box_test of `detected` or `labeled`.
torchreid: folders images_detected or images_labeled, with names such as 1_001_1_01.png: pair of cameras, person of that
pair, view, number. It has no splits; a person of a pair is an identity, and view v of pair p is camera 2p - 2 + v.
"""

import re

from districts.formats.named_crops import has_parts, read_named_crops
from districts.importing.annotated import Annotated, Crop
from districts.importing.source_files import SourceFiles
from domain.errors import InputError

_NAME = re.compile(r"(\d{1,2})_(\d{1,5})_([12])_(\d{1,4})\.(?:png|jpg)", re.IGNORECASE)
_MOST_PEOPLE = 10_000  # of a pair


def read_cuhk03(files: SourceFiles) -> Annotated:
    """The crops of one of the two sets, detected or labelled.

    Raises:
        InputError: if both sets are there, or a name is of another form.
    """
    if has_parts(files):
        return read_named_crops(files)
    crops, folders = [], set()
    for file in files.pictures():
        fields = _NAME.fullmatch(file.name)
        if not fields:
            raise InputError(f"{file} must be named like 1_001_1_01.png: pair of cameras, person, view, number")
        folders.add(file.parent)
        pair, person, view, number = (int(field) for field in fields.groups())
        camera = 2 * (pair - 1) + view
        crops.append(Crop(file, pair * _MOST_PEOPLE + person, f"c{camera}", frame=number))
    if not crops or len(folders) > 1:
        raise InputError(
            f"{files.root} must hold the pictures of one set, images_labeled or images_detected, got "
            f"{', '.join(sorted(folder.name for folder in folders)) or 'none'}"
        )
    return Annotated(crops=crops)
