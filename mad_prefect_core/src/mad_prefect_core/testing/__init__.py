"""The conformance kit: what a plugin author inherits to hold a format or a storage to its contract.

It needs pytest: `pip install 'mad-prefect-core[testing]'`.
"""

from __future__ import annotations

try:
    import pytest
except ModuleNotFoundError as error:
    raise ImportError("The conformance kit needs pytest: pip install 'mad-prefect-core[testing]'") from error

# Before they are imported, or a failed contract test would not say which values it compared.
pytest.register_assert_rewrite("mad_prefect_core.testing.base", "mad_prefect_core.testing.formats")

from mad_prefect_core.cards import Card  # noqa: E402
from mad_prefect_core.testing.base import Contract, needs, overrides  # noqa: E402
from mad_prefect_core.testing.formats import FormatContract, write_release  # noqa: E402

__all__ = ["Card", "Contract", "FormatContract", "needs", "overrides", "write_release"]
