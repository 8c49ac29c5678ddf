"""Make a model of values that are ours and checked already, in a fifth of the time that `model_construct` takes.

For what is made anew with every ask; everything that comes from outside is validated.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_set = object.__setattr__  # the models are frozen


_keys: dict[type[BaseModel], tuple[list[str], set[str]]] = {}


def made(kind: type[M], /, **fields: Any) -> M:
    """Return a model with these fields. Every one must be given (else KeyError); they stand in declared order."""
    order, names = _keys.get(kind) or _keys_of(kind)
    model = kind.__new__(kind)
    _set(model, "__dict__", fields if list(fields) == order else {name: fields[name] for name in order})
    _set(model, "__pydantic_fields_set__", names)  # shared: the models are frozen, and a copy has a set of its own
    _set(model, "__pydantic_extra__", None)
    _set(model, "__pydantic_private__", None)
    return model


def _keys_of(kind: type[BaseModel]) -> tuple[list[str], set[str]]:
    order = list(kind.__pydantic_fields__)
    _keys[kind] = found = order, set(order)
    return found
