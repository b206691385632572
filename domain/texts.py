"""Texts that come from outside and are stored: bounded, and such that PostgreSQL can store them."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class AtMost:
    """Annotation of a text from outside, or of the JSON in one: at most `letters`, no NUL, no half of a surrogate pair.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import TypeAdapter
        >>> TypeAdapter(Annotated[str, AtMost(3)]).validate_python("abc")
        'abc'
        >>> TypeAdapter(Annotated[str, AtMost(3)]).validate_python("abcd")
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: 1 validation error for function-before[_check(), str]
          Input should have at most 3 letters [type=text, input_value='abcd', input_type=str]
    """

    letters: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The check, before anything is made of the text."""
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The length, for the OpenAPI document."""
        return handler(schema) | {"maxLength": self.letters}

    def _check(self, text: Any) -> Any:
        if isinstance(text, str):
            if len(text) > self.letters:
                raise PydanticCustomError("text", f"Input should have at most {self.letters} letters")
            if "\0" in text or not _is_unicode(text):
                raise PydanticCustomError("text", "Input should have no NUL and no half of a surrogate pair")
        return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
