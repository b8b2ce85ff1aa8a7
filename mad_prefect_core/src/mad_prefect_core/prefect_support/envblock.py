"""`EnvBlock`: a Prefect block whose fields may come from the environment."""

from __future__ import annotations

import asyncio
import os
import types
from collections.abc import Mapping
from typing import Any, ClassVar, Self, Union, get_args, get_origin

from prefect.blocks.core import Block
from pydantic import TypeAdapter, ValidationError

from mad_prefect_core.prefect_support.saved import saved_block

__all__ = ["EnvBlock"]


class EnvBlock(Block):
    """A base for blocks of credentials that are a saved block in one place and environment variables in another::

        class Warehouse(EnvBlock):
            url: str
            token: SecretStr
            timeout: int = 30

        warehouse = await Warehouse.from_env()  # WAREHOUSE_URL, WAREHOUSE_TOKEN, WAREHOUSE_TIMEOUT

    or, if `WAREHOUSE_CREDENTIAL_BLOCK_NAME` is set, the saved block of that name.
    """

    prefix: ClassVar[str | None] = None
    """What the variables' names begin with, in any case of letters; the name of the class if None."""

    @classmethod
    def resolve_prefix(cls) -> str:
        """The prefix in force, in upper case. A field named `prefix` with a default counts too."""
        field = cls.model_fields.get("prefix")
        return str((field.default if field else cls.prefix) or cls.__name__).upper()

    @classmethod
    async def from_env(cls, env_vars: Mapping[str, str] | None = None) -> Self:
        """The block, as the variables are now. A saved block is as it was a minute ago at most.

        Args:
            env_vars: Where to look instead of in the environment.

        Raises `ValueError` naming the variable that is missing or can't be what its field is; never its value.
        """
        variables = os.environ if env_vars is None else env_vars
        prefix = cls.resolve_prefix()
        if name := variables.get(f"{prefix}_CREDENTIAL_BLOCK_NAME"):
            return await asyncio.to_thread(saved_block, cls, name)
        values = _values(cls, prefix, variables)
        try:
            return cls(**values)
        except ValidationError as error:
            refused = [f"{place['loc'][0]} ({place['type']})" for place in error.errors() if place["loc"]]
        # Without its cause: a validation error shows the value, which may be a secret.
        raise ValueError(f"The environment variables {prefix}_* can't be the fields of {cls.__name__}: {refused}")


def _values(block: type[EnvBlock], prefix: str, variables: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, field in block.model_fields.items():
        variable = f"{prefix}_{name.upper()}"
        if variable in variables:
            values[name] = _parsed(variables[variable], field.annotation, variable)
        elif field.is_required():
            raise ValueError(f"Environment variable {variable} is required.")
    return values


def _parsed(text: str, annotation: Any, variable: str) -> Any:
    """The text as the first member of the annotation that takes it; lists and dicts are JSON."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    for kind in kinds:
        if kind is types.NoneType:
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        for parse in (adapter.validate_python, adapter.validate_json):
            try:
                return parse(text)
            except ValidationError:
                continue
    # Without its cause: a validation error shows the value, which may be a secret.
    raise ValueError(f"Environment variable {variable} can't be {annotation}.")
