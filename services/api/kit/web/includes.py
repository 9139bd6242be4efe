"""Related resources in a response, for clients that name them in the parameter `include`."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from kit.web.conditional import etag_with_related
from kit.web.schemas import ResponseBody

NOT_REQUESTED = object()
# The default of a field for related resources. Without `include`, the response doesn't have the field.
NOT_INCLUDED: Any = Field(
    default_factory=lambda: NOT_REQUESTED, exclude_if=lambda value: value is NOT_REQUESTED
)


class WithRelated(ResponseBody):
    """A body with related resources, if the client has named them in `include`.

    `related` maps the name of a relationship to the schema of its rows. It needs a field of that name, with
    the default NOT_INCLUDED.
    """

    related: ClassVar[Mapping[str, type[ResponseBody]]] = {}

    @classmethod
    def of(cls, row: object, **others: object) -> Self:
        """Return the body for a row, without related resources unless they are among the others."""
        return super().of(row, **(dict.fromkeys(cls.related, NOT_REQUESTED) | others))

    @classmethod
    def including(cls, row: object, names: Collection[str]) -> Self:
        """Return the body for a row, with the named relationships. The repository has loaded these."""
        return cls.of(row, **{name: _body(cls.related[name], getattr(row, name)) for name in names})


Body = TypeVar("Body", bound=WithRelated)


def includable(schema: type[WithRelated]) -> Any:
    """Return the field `include` of a query: the names of related resources, separated by commas."""
    names = list(schema.related)

    def document(field: dict[str, Any]) -> None:
        field.pop("default")
        field |= {"items": {"type": "string", "enum": names}, "minItems": 1, "maxItems": len(names)}
        field |= {"uniqueItems": True}

    field: Any = Field(
        (),
        description="Related resources to include in the response, separated by commas.",
        json_schema_extra=document,
    )
    field.metadata.append(BeforeValidator(_splitter(names)))
    return field


def _splitter(allowed: list[str]) -> Callable[[Any], tuple[str, ...]]:
    def split(text: Any) -> tuple[str, ...]:
        names = tuple(text if isinstance(text, list) else str(text).split(","))
        if set(names) - set(allowed) or len(set(names)) < len(names):
            raise PydanticCustomError(
                "invalid_format",
                "Give one or more of {allowed}, separated by commas, each once.",
                {"allowed": ", ".join(allowed)},
            )
        return names

    return split


def response_with_related(
    schema: type[Body], row: object, include: Collection[str]
) -> tuple[Body, dict[str, str]]:
    """Return the body for a row, and its ETag if there are related resources in it."""
    body = schema.including(row, include)
    return body, {"ETag": etag_with_related(schema.of(row), body)} if include else {}


def _body(schema: type[ResponseBody], value: Any) -> ResponseBody | list[ResponseBody] | None:
    if isinstance(value, list):
        return [schema.of(each) for each in value]
    return None if value is None else schema.of(value)
