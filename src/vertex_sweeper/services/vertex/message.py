"""A job as plain data and as the client's message, both ways.

The field names, types and enum spellings are those of the installed client, so reading a specification into the message is
also the check that the service will understand it, at no cost and without a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from vertex_sweeper.api import Job, is_custom_job
from vertex_sweeper.errors import InvalidJob
from vertex_sweeper.messages import did_you_mean, one_line
from vertex_sweeper.services.vertex.extra import vertex_extra

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob


def parse(spec: Mapping[str, Any]) -> Job:
    """The specification as the service will read it: names in camelCase, zeros dropped, 64-bit integers as strings.

    Raises:
        InvalidJob: With every unknown or misshapen field at once, else with the first value of a wrong type.
    """
    return to_job(to_message(spec))


def find_mistakes(spec: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the installed client would not understand in a job: pairs of a field's path and what is wrong with it.

    The path is empty where the client's own words are all there is.
    """
    try:
        to_message(spec)
    except InvalidJob as error:
        return error.fields or (("", str(error)),)
    return ()


def to_message(spec: Mapping[str, Any]) -> CustomJob | HyperparameterTuningJob:
    """The client's message for a job in JSON form. Raises InvalidJob as `parse` does."""
    with vertex_extra():
        from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob
        from google.protobuf import json_format

    message = CustomJob() if is_custom_job(spec) else HyperparameterTuningJob()
    raw = type(message).pb(message)
    if mistakes := tuple(_mistakes(spec, raw.DESCRIPTOR, "")):
        lines = "; ".join(f"{path}: {mistake}" for path, mistake in mistakes)
        raise InvalidJob(f"Vertex AI would not understand the job: {lines}", fields=mistakes)
    try:
        json_format.ParseDict(dict(spec), raw)
    except json_format.ParseError as error:
        words = one_line(error).rstrip(".")
        raise InvalidJob(f"Vertex AI would not understand the job: {words}", fields=_field_in(words)) from error
    return message


def to_job(message: CustomJob | HyperparameterTuningJob) -> Job:
    """A job's message in JSON form, as a new dict.

    A state that the installed client does not know stays a number. A metric of exactly zero has no `value`: zeros are left out.
    """
    from google.protobuf import json_format

    raw = type(message).pb(message)
    if raw.error.details:
        # They are of any type, and JSON cannot be made of one that is not loaded here; code and message say what happened.
        trimmed = type(raw)()
        trimmed.CopyFrom(raw)
        del trimmed.error.details[:]
        raw = trimmed
    job: Job = json_format.MessageToDict(raw)
    return job


_FAILED: Final = re.compile(r"Failed to parse (\w+) field: ")
_AT: Final = re.compile(r" at (?:HyperparameterTuningJob|CustomJob)\.(\S+)$")


def _field_in(words: str) -> tuple[tuple[str, str], ...]:
    """The field that the parser's words name, and what they say of it; nothing where they name none.

    Only some of them end with the whole path; without it, places in lists are not known.
    """
    at = _AT.search(words)
    field = at[1] if at else ".".join(_FAILED.findall(words))
    return ((field, _AT.sub("", _FAILED.sub("", words)).rstrip(".")),) if field else ()


def _mistakes(value: Any, descriptor: Any, path: str) -> Iterator[tuple[str, str]]:
    """Walks the data beside the message's description: the parser would stop at the first mistake, and miss some."""
    if descriptor.GetOptions().map_entry or descriptor.full_name.startswith("google.protobuf."):
        return  # labels, durations and free-form values are the parser's
    if not isinstance(value, Mapping):
        yield path, f"a {descriptor.name} is written as a mapping, but got {value!r:.80}"
        return
    known = {field.json_name: field for field in descriptor.fields}
    for key, item in value.items():
        field = known.get(key) or descriptor.fields_by_name.get(key)
        where = f"{path}.{key}" if path else str(key)
        if field is None:
            yield where, f"not a field of {descriptor.name}{did_you_mean(str(key), known)}"
        elif field.enum_type is not None and isinstance(item, str) and item not in field.enum_type.values_by_name:
            yield where, f"{item!r} is no {field.enum_type.name}{did_you_mean(item, field.enum_type.values_by_name, most=3)}"
        elif field.message_type is None or item is None:
            continue
        elif isinstance(item, list) and _is_list(field):
            for index, element in enumerate(item):
                yield from _mistakes(element, field.message_type, f"{where}[{index}]")
        elif _is_list(field):
            yield where, f"a list of {field.message_type.name}, but got {item!r:.80}"
        else:
            yield from _mistakes(item, field.message_type, where)


def _is_list(field: Any) -> bool:
    # Older releases of protobuf have only the label, newer ones warn about it.
    repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
    return repeated and not field.message_type.GetOptions().map_entry
