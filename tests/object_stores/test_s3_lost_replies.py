"""S3 where the client library itself raises: that is not taken for a conflict, and requests are sent again."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from mad_prefect_core.testing.storages import Place
from mad_prefect_core.testing.storages.failures import FailureContract
from mad_prefect_s3 import S3Storage


@pytest.fixture
def server(moto_server: Any) -> Any:
    return moto_server


@pytest.mark.usefixtures("pauses")
class TestClientsErrors(FailureContract):
    client_errors = (
        lambda message: ConnectionClosedError(endpoint_url=message),
        lambda message: ReadTimeoutError(endpoint_url=message),
    )
    sends_again = True

    @pytest.fixture
    def storage(self) -> S3Storage:
        return S3Storage()

    @pytest.fixture
    def url(self, bucket: Any) -> str:
        return f"{bucket.url}/lake"

    @pytest.fixture
    def options(self, bucket: Any) -> dict[str, Any]:
        return dict(bucket.server.options)

    def fault_targets(self, place: Place) -> tuple[Any, ...]:
        return ((place.fs.run(place.fs.client.connected), ["_make_api_call"]),)
