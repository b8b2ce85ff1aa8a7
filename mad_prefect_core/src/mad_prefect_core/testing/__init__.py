"""The conformance kit: what a plugin author inherits to hold a format or a storage to its contract.

It needs pytest, hypothesis and cloudpickle, and the local storage for its runs of assets.
"""

from __future__ import annotations

try:
    import pytest
except ModuleNotFoundError as error:
    raise ImportError("The conformance kit needs more: pip install pytest hypothesis cloudpickle") from error

# Before they are imported, or a failed contract test would not say which values it compared.
for _name in ("base", "formats", "storages"):
    pytest.register_assert_rewrite(f"mad_prefect_core.testing.{_name}")

from mad_prefect_core.cards import Card  # noqa: E402
from mad_prefect_core.testing.base import Contract, complaint, costly, needs, overrides, raises  # noqa: E402
from mad_prefect_core.testing.formats import FormatContract, write_release  # noqa: E402
from mad_prefect_core.testing.readme import readme_faults  # noqa: E402
from mad_prefect_core.testing.storages import StorageContract  # noqa: E402

__all__ = [
    "Card",
    "Contract",
    "FormatContract",
    "StorageContract",
    "complaint",
    "costly",
    "needs",
    "overrides",
    "raises",
    "readme_faults",
    "write_release",
]
