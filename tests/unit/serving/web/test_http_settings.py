from pathlib import Path

import pytest

from domain.errors import InputError
from serving.web.http_settings import TlsSettings


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_key_may_be_read_by_its_owner_and_group(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "tls.key"
    key.touch()
    key.chmod(mode)
    TlsSettings(certificate=key, key=key).require_private_key()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_key_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "tls.key"
    key.touch()
    key.chmod(mode)
    with pytest.raises(InputError, match=rf"must be closed to other users .* has the mode 0{mode:o}; chmod 600 it"):
        TlsSettings(certificate=key, key=key).require_private_key()
