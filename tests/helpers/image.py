"""The image of a Bento without a container engine: its Dockerfile carried out on a copy of this machine's files.

This machine stands for the base image, and its packages for the installed ones: what asks the network is left out. The
copy is an overlay in namespaces of its own, so it leaves nothing behind, and its root is only read, as with
`docker run --read-only --tmpfs /tmp`.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

_ASKS_THE_NETWORK = re.compile(r"pip install uv|uv venv|env/python/install\.sh")
_IGNORED = {"FROM", "EXPOSE"}
_BEGIN = """
set -euo pipefail
umask 022
mount -t tmpfs image "$WORK"
mkdir "$WORK"/{upper,work,root}
mount -t overlay image -o "lowerdir=/,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
cd "$WORK/root"
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs tmp tmp
chmod 755 root  # where Python may lie
rm -rf home app
mkdir -p home app/.venv
mount --bind "$PACKAGES" app/.venv
ip link set lo up
ip address add 10.0.0.9/32 dev lo  # an address of the container, for other machines
"""


@dataclass
class _Steps:
    """What a Dockerfile says, as commands of bash in the root of the image."""

    context: Path
    commands: list[str] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    folder: str = "/"
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def in_container(self, *command: str) -> str:
        """`command` as the image's user, in its folder, with its environment."""
        variables = shlex.join(
            f"{name}={value}" for name, value in {"HOME": f"/home/{self.user}", **self.environment}.items()
        )
        inside = f"cd {shlex.quote(self.folder)} && exec {shlex.join(command)}"
        who = f"--userspec={self.user}:{self.user}"
        return f"chroot {who} . env -i {variables} ${{SET:-}} bash -c {shlex.quote(inside)}"

    def add(self, instruction: str, text: str) -> None:
        """Carry out one instruction of the Dockerfile."""
        if instruction != "RUN":  # whose shell expands variables
            text = Template(text).safe_substitute(self.arguments | self.environment)
        match instruction:
            case "ARG":
                name, _, value = text.partition("=")
                self.arguments[name] = value
            case "ENV":
                self.environment |= dict(each.partition("=")[::2] for each in shlex.split(text))
            case "USER":
                self.user = text
            case "WORKDIR":
                self.folder = text
                self.commands.append(f"mkdir -p .{text}")
            case "COPY":
                owner, source, target = text.removeprefix("--chown=").split()
                place = shlex.quote(f".{Path(self.folder, target)}")
                self.commands += [
                    f"mkdir -p {place} && cp -r {shlex.quote(str(self.context / source))}/. {place}",
                    f"chroot . chown -R {owner} /{place}",
                ]
            case "RUN" if not _ASKS_THE_NETWORK.search(text):
                known = _Steps(self.context, environment=self.arguments | self.environment, folder=self.folder)
                self.commands.append(known.in_container("bash", "-c", text))
            case "RUN":
                pass
            case "HEALTHCHECK":
                self.health = json.loads(text[text.index("[") :])
            case "ENTRYPOINT":
                self.entrypoint = json.loads(text)
            case _:
                assert instruction in _IGNORED, instruction


def run_image(bento: Path, volume: Path, work: Path, check: str) -> list[str]:
    """The lines that `check` prints, commands of bash in a container of the image of `bento`.

    They have the functions `entry`, which runs the image's entry point with its arguments, and `health`, its health
    check. `$SET` holds further variables of the environment, `NAME=value …`. `volume` is mounted at
    `/var/lib/dongseon`; the container has a network of its own, with the address 10.0.0.9.
    """
    steps = _Steps(bento)
    for instruction, text in _instructions((bento / "env" / "docker" / "Dockerfile").read_text()):
        steps.add(instruction, text)
    script = [
        _BEGIN,
        *steps.commands,
        'chown --reference=var/lib/dongseon "$VOLUME" && chmod 700 "$VOLUME"',  # as an engine does with a new volume
        'mount --bind "$VOLUME" var/lib/dongseon',
        'mount -o remount,ro,bind . && cd "$WORK/root"',
        f'entry() {{ {steps.in_container(*steps.entrypoint)} "$@"; }}'.replace('\' "$@"', ' "$@"\' entry "$@"'),
        f"health() {{ {steps.in_container(*steps.health)}; }}",
        check,
    ]
    places = {"WORK": str(work), "VOLUME": str(volume), "PACKAGES": sys.prefix, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    ended = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", "\n".join(script)],
        env=places, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines()


def _instructions(dockerfile: str) -> Iterator[Sequence[str]]:
    lines = (line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        yield line.strip().split(maxsplit=1)
