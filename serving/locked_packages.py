"""Packages of `requirements.lock` that a list of dependencies needs: as requirements with hashes, and as an SBOM."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from domain.errors import ArtifactError

_ENTRY = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^\n]*\n(?P<rest>(?:[ #][^\n]*\n?)*)",
    re.MULTILINE,
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NEEDED_BY = re.compile(r"^    # +(?:via +)?(\S+)(?: \(.*\))?$", re.MULTILINE)  # `# via a`, or `#   a` a line
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class LockedPackage:
    """A package of the lock, by its canonical name."""

    name: str
    version: str
    sha256: tuple[str, ...]  # of each file of this version that may be installed
    needed_by: frozenset[str]  # canonical names

    @property
    def requirement(self) -> str:
        """The lines that let pip and uv install this version alone, from a file with one of the hashes."""
        return " \\\n".join([f"{self.name}=={self.version}", *(f"    --hash=sha256:{each}" for each in self.sha256)])

    @property
    def purl(self) -> str:
        """Package URL, by which databases of advisories name it."""
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(lock: Path) -> list[LockedPackage]:
    """The packages of `lock`, as `uv pip compile --generate-hashes` writes it."""
    return [
        LockedPackage(
            canonical(entry["name"]),
            entry["version"],
            tuple(_HASH.findall(entry["rest"])),
            frozenset(canonical(name) for name in _NEEDED_BY.findall(entry["rest"])),
        )
        for entry in _ENTRY.finditer(lock.read_text())
    ]


def needed_for(dependencies: Iterable[str], locked: Collection[LockedPackage]) -> list[LockedPackage]:
    """The packages of `locked` that `dependencies`, such as `psycopg[binary]>=3.2`, need directly or indirectly."""
    names, before = {name_of(dependency) for dependency in dependencies}, 0
    while len(names) > before:
        before = len(names)
        names |= {package.name for package in locked if package.needed_by & names}
    return [package for package in locked if package.name in names]


def together(packages: Iterable[LockedPackage], others: Iterable[LockedPackage]) -> list[LockedPackage]:
    """The packages of two locks, by name; what either lock needs a package for counts.

    Raises:
        ArtifactError: if the locks have different versions of a package.
    """
    found: dict[str, LockedPackage] = {}
    for package in (*packages, *others):
        known = found.get(package.name, package)
        if known.version != package.version:
            raise ArtifactError(
                f"both locks must have the same {package.name}, got {known.version} and {package.version}; "
                "run make lock"
            )
        found[package.name] = replace(package, needed_by=package.needed_by | known.needed_by)
    return [found[name] for name in sorted(found)]


def name_of(dependency: str) -> str:
    """Canonical name of the package that a requirement such as `psycopg[binary]>=3.2` names."""
    name = _NAME.match(dependency)
    assert name is not None, "a requirement begins with a name"
    return canonical(name[0])


def canonical(name: str) -> str:
    """The form of a package's name in which two spellings are equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sbom(packages: Iterable[LockedPackage], product: str, version: str) -> dict[str, Any]:
    """Software bill of materials of `product`: CycloneDX 1.5 as JSON."""
    packages = list(packages)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": product, "name": product, "version": version}},
        "components": [
            {
                "type": "library",
                "bom-ref": package.purl,
                "name": package.name,
                "version": package.version,
                "purl": package.purl,
                "hashes": [{"alg": "SHA-256", "content": each} for each in package.sha256],
            }
            for package in packages
        ],
        "dependencies": [
            {"ref": package.purl, "dependsOn": [each.purl for each in packages if package.name in each.needed_by]}
            for package in packages
        ],
    }
