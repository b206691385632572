"""Takes the files of a data set into a district's folder, and remembers where each came from."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from districts.findings import Finding, Shown, fatal, listed
from districts.layout import is_picture_name, list_pictures
from domain.errors import InputError
from domain.foreign_files import HOW_TO_SAVE, TABLE_BYTES, decoded, is_plain
from domain.names import is_hidden

_TEXTS = {".csv", ".txt", ".yaml", ".yml"}


class Intake:
    """What an importer takes from the folder `source` into the folder `folder` of a district.

    Checks see the files in `folder`; `of_user` names in their findings the user's own files instead.
    """

    def __init__(self, source: Path, folder: Path, target: Path | None = None) -> None:
        """Args: source, folder: see the class. target: where `folder` will lie when it is complete."""
        self.source, self.folder = source, folder
        self.findings: list[Finding] = []
        self._target = target or folder
        self._origins: dict[str, str] = {}  # path in the district -> the user's file
        self._folders: dict[str, set[str]] = {}  # folder in the district -> folders that its files are from
        self._hidden: list[str] = []

    def take(self, file: Path, inner: str) -> None:
        """Hard-link `file` as `inner` into the district's folder; copy it where there are no hard links.

        A link is followed. A text in another encoding than plain UTF-8 is copied as UTF-8, so that every reader can
        read it. A file that cannot be read is a fatal finding.
        """
        if inner in self._origins:
            message = f"must have another name than {self._origins[inner]}; both would be {inner} in the district"
            self.findings.append(Finding(True, str(file), message))
            return
        self._origins[inner] = str(file)
        self._folders.setdefault(str(Path(inner).parent), set()).add(str(file.parent))
        target = self.folder / inner
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if file.suffix.lower() not in _TEXTS or not self._has_rewritten(file, target):
                link_or_copy(file, target)
        except InputError as error:
            self.findings.append(fatal(file, error))

    def _has_rewritten(self, file: Path, target: Path) -> bool:
        """Whether `file` was a text in another encoding and is now copied as UTF-8.

        What has no known encoding is left to the checks, since not every text is part of the data.
        """
        try:
            if is_plain(file, TABLE_BYTES):
                return False
            text, guessed = decoded(file, TABLE_BYTES)
        except InputError:
            return False
        target.write_text(text, encoding="utf-8", newline="")
        if guessed:
            message = f"is not in UTF-8 and was read as {guessed}; look at its Korean, or {HOW_TO_SAVE}"
            self.findings.append(Finding(False, str(file), message))
        return True

    def stands_for(self, inner: str, origin: Path) -> None:
        """Remember that the file or folder `inner` of the district was made from the user's `origin`."""
        self._origins[inner] = str(origin)

    def is_passed_over(self, path: Path) -> bool:
        """Whether `path` is hidden, and so no part of the data; the report counts such files."""
        if is_hidden(path.name):
            self._hidden.append(str(path.relative_to(self.source)))
            return True
        return False

    def list_pictures(self, folder: Path) -> list[Path]:
        """Pictures in `folder` in name order, without hidden files; raises as `layout.list_pictures` does."""
        pictures = list_pictures(folder)
        for path in sorted(folder.iterdir()):
            self.is_passed_over(path)
        return pictures

    def of_user(self, findings: list[Finding]) -> list[Finding]:
        """The intake's own findings and `findings`, with the user's files in place of those in `folder`."""
        hidden = [Finding(False, str(self.source), self._passed_over())] if self._hidden else []
        return [
            replace(
                finding,
                place=self._named(finding.place),
                message=self._named(finding.message),
                pictures=tuple(replace(shown, name=self._named(str(shown.file))) for shown in _pictures_of(finding)),
            )
            for finding in [*self.findings, *hidden, *findings]
        ]

    def _passed_over(self) -> str:
        return f"{len(self._hidden)} hidden files or folders are passed over: {listed(self._hidden)}"

    def _named(self, text: str) -> str:
        head, *parts = text.split(str(self.folder))
        return head + "".join(self._origin(part) for part in parts)

    def _origin(self, text: str) -> str:
        """`text`, which begins with the rest of a path in the district's folder, with the user's path there."""
        rest = text.removeprefix("/")
        for end in range(len(rest), 0, -1):
            if end < len(rest) and rest[end] not in "/,:; )":
                continue
            if rest[:end] in self._origins:
                return self._origins[rest[:end]] + rest[end:]
            if len(folders := self._folders.get(rest[:end], set())) == 1:
                return next(iter(folders)) + rest[end:]
        return f"{self._origins.get('', self._target)}{text}"


def _pictures_of(finding: Finding) -> tuple[Shown, ...]:
    """The pictures of `finding`; without any of its own, the one that is its place."""
    file = Path(finding.place.partition(", line ")[0])
    return finding.pictures or ((Shown(file),) if is_picture_name(file.name) and file.is_file() else ())


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link the file that `source` is or leads to; copy it where the file system has no hard links.

    Raises:
        InputError: if `source` is no file, or unreadable.
    """
    is_link = source.is_symlink()
    if is_link and not source.exists():
        raise InputError(f"{source} must be a file; it is a link to {source.readlink()}, which is missing")
    if not source.is_file():
        raise InputError(f"{source} must be a file; {'it is none' if source.exists() else 'it is missing'}")
    if not os.access(source, os.R_OK):
        raise InputError(f"{source} must be readable for this user; it is not")
    try:
        os.link(source.resolve() if is_link else source, target)
    except OSError:
        try:
            shutil.copy2(source, target)
        except OSError as error:
            raise InputError(f"{source} must be copied, but that fails: {error.strerror}") from error
