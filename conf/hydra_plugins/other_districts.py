"""Outputs of other districts stay where they are.

`dvc exp run` begins with a checkout. It removes each output that an earlier checkout restored from the cache and that
no stage has now, so also those of the districts that the composed settings do not name. DVC has no setting for this, so
the function that removes them is replaced once Hydra, also DVC's, imports what lies in this folder.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

_DATA = "data"  # whose folders are the districts


def remove_unused_links(repo: Any) -> list[str]:
    """DVC's own, for the districts whose stages the workspace has."""
    used = [out.fspath for out in repo.index.outs if out.protocol == "local"]
    districts = {Path(path).name for path in used if Path(path).parent == Path(repo.root_dir) / _DATA}
    unused = repo.state.get_unused_links(used, repo.fs)
    own = [path for path in unused if districts.issuperset(Path(path).parts[1:2])]  # <kind>/<district>/…
    repo.state.remove_links(own, repo.fs)
    with repo.state.links as links:  # else a later `dvc checkout` or `dvc exp apply`, without this, removes the others
        for path in set(unused).difference(own):
            links.pop(path)
    return own


import_module("dvc.repo.checkout")._remove_unused_links = remove_unused_links  # type: ignore[attr-defined]
