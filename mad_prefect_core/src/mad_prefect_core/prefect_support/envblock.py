"""`EnvBlock`: a Prefect block whose fields may come from the environment."""

from __future__ import annotations

import asyncio
import inspect
import os
import types
from collections.abc import Mapping
from typing import Any, ClassVar, Self, Union, cast, get_args, get_origin

from prefect.blocks.core import Block
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from mad_prefect_core.overrides import refuse_uncalled
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_uncalled(
            cls, EnvBlock, {"_instance": "Keep the block in a variable: from_env reads the environment anew."}
        )

    @classmethod
    def resolve_prefix(cls) -> str:
        """The prefix in force, in upper case. A field named `prefix` with a default counts too."""
        field = cls.model_fields.get("prefix")
        return str((field.default if field else cls.prefix) or cls.__name__).upper()

    @staticmethod
    def retrieve_default_value(model_field: FieldInfo, env_var_name: str) -> Any:
        """The value of a field whose variable is not set. Raises `ValueError` where it needs one."""
        if model_field.is_required():
            raise ValueError(f"Environment variable {env_var_name} is required.")
        return model_field.get_default(call_default_factory=True, validated_data={})

    @staticmethod
    def unwrap_types(field_type: Any) -> list[Any]:
        """The members of a union, None left out; of anything else, itself."""
        members = get_args(field_type) if get_origin(field_type) in (Union, types.UnionType) else (field_type,)
        return [member for member in members if member is not types.NoneType]

    @staticmethod
    def apply_field_type(raw_value: str, field_types: list[Any], env_var_name: str) -> Any:
        """The text as the first of these types that takes it; lists and dicts are JSON.

        Raises `ValueError` naming the variable, never its value.
        """
        for kind in field_types:
            adapter: TypeAdapter[Any] = TypeAdapter(kind)
            for parse in (adapter.validate_python, adapter.validate_json):
                try:
                    return parse(raw_value)
                except ValidationError:
                    continue
        names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in field_types)
        # Without its cause: a validation error shows the value, which may be a secret.
        raise ValueError(f"Environment variable {env_var_name} can't be {names}.")

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
            if getattr(cls.load, "__func__", None) is not getattr(Block.load, "__func__", None):
                loaded: Any = cls.load(name)  # a subclass's own, async or not
                return cast(Self, await loaded if inspect.isawaitable(loaded) else loaded)
            return await asyncio.to_thread(saved_block, cls, name)
        values = {}
        for field, about in cls.model_fields.items():
            variable = f"{prefix}_{field.upper()}"
            if variable in variables:
                values[field] = cls.apply_field_type(variables[variable], cls.unwrap_types(about.annotation), variable)
            else:
                values[field] = cls.retrieve_default_value(about, variable)
        try:
            return cls(**values)
        except ValidationError as error:
            refused = [f"{place['loc'][0]} ({place['type']})" for place in error.errors() if place["loc"]]
        # Without its cause: a validation error shows the value, which may be a secret.
        raise ValueError(f"The environment variables {prefix}_* can't be the fields of {cls.__name__}: {refused}")
