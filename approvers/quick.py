"""Make a model of values that are ours and checked already, in a fifth of the time that `model_construct` takes.

For what is made anew with every ask; everything that comes from outside is validated.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_slots = BaseModel.__dict__  # the models are frozen: their slots are filled from below
_set_values = _slots["__dict__"].__set__
_set_names = _slots["__pydantic_fields_set__"].__set__
_set_extra = _slots["__pydantic_extra__"].__set__
_set_private = _slots["__pydantic_private__"].__set__
_new = object.__new__


_keys: dict[type[BaseModel], tuple[list[str], set[str]]] = {}


def made(kind: type[M], /, **fields: Any) -> M:
    """Return a model with these fields. Every one must be given (else KeyError); they stand in declared order."""
    order, names = _keys.get(kind) or _keys_of(kind)
    model = _new(kind)
    _set_values(model, fields if [*fields] == order else {name: fields[name] for name in order})
    _set_names(model, names)  # shared: the models are frozen, and a copy has a set of its own
    _set_extra(model, None)
    _set_private(model, None)
    return model


def _keys_of(kind: type[BaseModel]) -> tuple[list[str], set[str]]:
    order = list(kind.__pydantic_fields__)
    _keys[kind] = found = order, set(order)
    return found
