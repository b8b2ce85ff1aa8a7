"""The base that a relation of DuckDB's Python client was made under.

`duckdb.sql` gives a relation that keeps its SQL, and DuckDB binds that again each time the rows are asked for. By then
another base may be in force. The client, from DuckDB 2.0 on, is written in Python: the frames above a call of ours show
the relation that is bound. In DuckDB 1.5 they do not, and in a version with other names they may not; then the base is
the one in force.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from mad_prefect_core.errors import PathError

__all__ = ["RelationBases"]

_CLIENT = "duckdb._relation"
_PARTS = {"_reading_source": "text", "_catalog_source": "parts"}
"""Functions of the client that bind before there is a relation: the variable that becomes part of it."""
_UNBOUND = 4096  # relations that were made, and whose rows nobody has asked for


class RelationBases:
    """Not safe for several threads at once."""

    def __init__(self) -> None:
        self._relations: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._parts: OrderedDict[int, tuple[Any, str]] = OrderedDict()
        self._complete = True

    def base(self, frame: FrameType | None, in_force: str) -> str:
        """The base of the relation that is bound in the call of DuckDB in this frame; `in_force` for a new one."""
        if _CLIENT not in sys.modules:
            return in_force
        relations, parts = _in_frames(frame)
        bases = {base for relation in relations if (base := self._known(relation)) is not None}
        if len(bases) > 1:
            raise PathError(
                "A relation reads mad:// of several bases", hint="Fetch the rows of one of them before combining them."
            )
        if not bases and not self._complete and any(map(_is_recorded, relations)):
            raise PathError("The base that a relation was made under is not known any more", hint="Make it again.")
        base = bases.pop() if bases else in_force
        for relation in relations:
            self._relations[relation] = base
            for part in _parts_of(relation):
                self._parts.pop(id(part), None)
        for part in parts:
            self._remember(part, base)
        return base

    def _known(self, relation: Any) -> str | None:
        if (base := self._relations.get(relation)) is not None:
            return base
        for part in _parts_of(relation):
            if (found := self._parts.get(id(part))) is not None:
                return found[1]
        return None

    def _remember(self, part: Any, base: str) -> None:
        self._parts[id(part)] = part, base  # held, so that nothing else gets its id
        if len(self._parts) > _UNBOUND:
            self._parts.popitem(last=False)
            self._complete = False


def _parts_of(relation: Any) -> tuple[Any, Any]:
    step = getattr(relation, "_step", None)
    return getattr(step, "text", None), getattr(step, "parts", None)


def _is_recorded(relation: Any) -> bool:
    """Whether the relation was bound before it was there."""
    return _parts_of(relation) != (None, None)


def _in_frames(frame: FrameType | None) -> tuple[list[Any], list[Any]]:
    """The relations that the client's functions are called with, those they read included, and parts of one to be."""
    relations: dict[int, Any] = {}
    parts = []
    while frame is not None:
        if frame.f_globals.get("__name__") == _CLIENT:
            variables = frame.f_locals
            for name in ("self", "node", "top"):
                if hasattr(variables.get(name), "_inputs"):
                    relations |= {id(relation): relation for relation in _tree(variables[name])}
            if (part := variables.get(_PARTS.get(frame.f_code.co_name, ""))) is not None:
                parts.append(part)
        frame = frame.f_back
    return list(relations.values()), parts


def _tree(relation: Any) -> Iterator[Any]:
    """A relation and those that it is built from."""
    seen: set[int] = set()
    pending = [relation]
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            pending.extend(node._inputs)
