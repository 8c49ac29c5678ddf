"""Make a model of values that are ours and checked already, in a fifth of the time that `model_construct` takes.

For what is made anew with every ask; everything that comes from outside is validated.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_set = object.__setattr__  # the models are frozen


def made(kind: type[M], /, **fields: Any) -> M:
    """Return a model with these fields. Every one must be given (else KeyError); they stand in declared order."""
    model = kind.__new__(kind)
    _set(model, "__dict__", {name: fields[name] for name in kind.__pydantic_fields__})
    _set(model, "__pydantic_fields_set__", set(fields))
    _set(model, "__pydantic_extra__", None)
    _set(model, "__pydantic_private__", None)
    return model
