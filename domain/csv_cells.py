"""Cells of the CSV tables that people open in a spreadsheet."""

from collections.abc import Mapping

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def inert(row: Mapping[str, object]) -> dict[str, object]:
    """`row`, in which no text is a formula: one that begins like a formula gets a leading `'`. Numbers stay.

    Example:
        >>> inert({"district": '=HYPERLINK("http://x")', "longitude": -1.5})
        {'district': '\\'=HYPERLINK("http://x")', 'longitude': -1.5}
    """
    return {
        name: f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
        for name, value in row.items()
    }
