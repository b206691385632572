import pytest
from pydantic import ValidationError

from serving.footage.vms_link import FootageSettings


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("ftp://vms/{camera}", id="another scheme"),
        pytest.param("https://vms/{password}", id="an unknown field"),
        pytest.param("https://vms/{camera.__class__}", id="more than a field"),
        pytest.param("https://vms/{camera", id="half a pair"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match=r"must be an address with|must have pairs of braces"):
        FootageSettings(vms_url=template)
