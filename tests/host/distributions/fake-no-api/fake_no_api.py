"""Does not say which plugin API it was built for."""

from fake_parts import FakeFormat

from mad_prefect_core import hookimpl


@hookimpl
def mad_prefect_formats():
    return [FakeFormat("no", ".no")]
