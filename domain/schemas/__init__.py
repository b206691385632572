"""The project's attribute schemas, one YAML file each, and their reader."""

from pathlib import Path

from pydantic import ValidationError

from domain.attributes import AttributeSchema
from domain.errors import InputError, place_of, shown
from domain.foreign_files import read_yaml

_FOLDER = Path(__file__).parent


def schema_in(folder: Path, name: str) -> AttributeSchema:
    """The schema in the file `name` of a district's folder, or the project's one of that name; raises as below."""
    return read_schema(folder / name if (folder / name).is_file() else name)


def read_schema(name_or_file: str | Path) -> AttributeSchema:
    """Read one of the project's schemas by name, or another schema by the path of its YAML file.

    Raises:
        InputError: if there is no such schema or the file is not a valid schema.

    Example:
        >>> read_schema("suseong_no_colour").num_binary_labels
        28
    """
    file = Path(name_or_file)
    if file.suffix not in {".yaml", ".yml"}:
        file = _FOLDER / f"{name_or_file}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
        raise InputError(f"an attribute schema must be one of {known}, or an existing .yaml file, got {name_or_file}")
    try:
        return AttributeSchema.model_validate(read_yaml(file))
    except ValidationError as error:
        first = error.errors()[0]
        place = place_of(first["loc"])
        raise InputError(
            f"{file} must be an attribute schema; {place}: {first['msg']}, got {shown(first['input'])}"
        ) from error
