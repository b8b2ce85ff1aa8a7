"""Programs that ask Azure by tokens of a managed identity or a service principal.

Azurite takes tokens over TLS alone. So each program is a process of its own, which is given the authority of the
certificate as users give it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from azurite import Azurite, azurite, azurite_missing
from microsoft_entra import Entra, entra
from s3_server import new_certificate

from mad_prefect_azure import AzureOptions, AzureStorage
from mad_prefect_core.errors import StorageError

PROGRAM = """
import logging
import time

from mad_prefect.data_assets import asset

logging.basicConfig(level=logging.DEBUG)


@asset("orders.parquet")
def orders():
    return [{"id": 1}, {"id": 2}]


print(orders.query_sync("SELECT sum(id)").fetchall())
"""
AN_HOUR_LATER = """
now = time.time
time.time = lambda: now() + 3_500  # the token that the first query got is good for 100 seconds
print(orders.query_sync("SELECT max(id)").fetchall())
"""


@dataclass(frozen=True)
class Azure:
    """Azurite over TLS, and what gives the tokens for it."""

    server: Azurite
    login: Entra
    folder: Path

    def run(self, program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """A program that has the container `lake` for its base, and nobody's credentials but those given."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PATH", "FILESYSTEM_BLOCK_NAME")}
        said = {
            "FILESYSTEM_URL": "abfss://lake/base",
            "AZURE_STORAGE_ENDPOINT_URL": self.server.endpoint(),
            "AZURE_AUTHORITY_HOST": self.login.url,
            "SSL_CERT_FILE": str(self.server.authorities),
            "PATH": "",  # or a login of Azure's tools is found
            "HOME": str(self.folder),
        }
        command = [sys.executable, "-W", "ignore", "-c", program]
        return subprocess.run(
            command, env={**kept, **said, **environment}, cwd=self.folder, capture_output=True, text=True, timeout=120
        )

    def secrets(self) -> list[str]:
        return [self.login.secret, self.login.header, *self.login.tokens]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    if missing := azurite_missing():
        pytest.skip(f"Azurite is {missing}")
    folder = tmp_path_factory.mktemp("azure")
    certificate = new_certificate(folder)
    with ExitStack() as stack:
        server, login = stack.enter_context(azurite(folder, certificate)), stack.enter_context(entra(certificate))
        server.client.create_container("lake")
        yield Azure(server, login, folder)


@pytest.fixture
def azure(servers: Azure) -> Azure:
    servers.login.tokens.clear()
    return servers


def test_the_identity_of_the_machine_is_asked_for_a_token_and_for_the_next_before_that_has_ended(azure: Azure) -> None:
    ran = azure.run(PROGRAM + AN_HOUR_LATER, azure.login.identity)
    assert ran.stdout == "[(3,)]\n[(2,)]\n", ran.stderr
    assert len(azure.login.tokens) == 2
    assert azure.server.client.get_blob_client("lake", "base/orders.parquet").exists()
    assert "'Authorization': 'REDACTED'" in ran.stderr, "the log tells of requests"
    assert not [secret for secret in azure.secrets() if secret in ran.stderr]


@pytest.mark.parametrize("variables", ["AZURE_STORAGE_", "AZURE_"])
def test_a_service_principal_is_said_by_our_variables_or_by_those_of_azure(azure: Azure, variables: str) -> None:
    ran = azure.run(PROGRAM, {f"{variables}{name.upper()}": value for name, value in azure.login.principal.items()})
    assert ran.stdout == "[(3,)]\n", ran.stderr
    assert len(azure.login.tokens) == 1
    assert not [secret for secret in azure.secrets() if secret in ran.stderr]


@pytest.mark.parametrize("variables", ["AZURE_STORAGE_", "AZURE_"])
def test_a_secret_that_is_refused_is_an_error_that_says_why_and_does_not_show_it(azure: Azure, variables: str) -> None:
    said = {**azure.login.principal, "client_secret": "an-old-secret"}
    ran = azure.run(PROGRAM, {f"{variables}{name.upper()}": value for name, value in said.items()})
    [error] = [line for line in ran.stderr.splitlines() if line.startswith("mad_prefect_core.errors.RefusedError: ")]
    assert f"The credentials for {azure.server.endpoint()} are of no use: " in error
    assert "AADSTS7000215: Invalid client secret provided." in error
    assert "Check the credentials." in error
    assert "an-old-secret" not in ran.stderr


def test_an_identity_that_gives_no_token_is_an_error_that_says_so(azure: Azure) -> None:
    ran = azure.run(PROGRAM, {**azure.login.identity, "IDENTITY_HEADER": "another-header"})
    [error] = [line for line in ran.stderr.splitlines() if line.startswith("mad_prefect_core.errors.RefusedError: ")]
    assert "are of no use: ManagedIdentityCredential: Unexpected response" in error
    assert "another-header" not in ran.stderr


def test_nobody_at_all_is_one_error_that_says_where_to_put_credentials(azure: Azure) -> None:
    ran = azure.run(PROGRAM, {"AZURE_TOKEN_CREDENTIALS": "dev"})  # no machine's identity: one may be there
    [error] = [line for line in ran.stderr.splitlines() if line.startswith("mad_prefect_core.errors.RefusedError: ")]
    assert f"There are no credentials for {azure.server.endpoint()} (" in error
    assert "Give the options account_key, sas_token or connection_string, or log in by `az login`." in error


def test_a_certificate_of_an_authority_that_is_not_known_is_an_error_that_says_so(azure: Azure) -> None:
    store = AzureStorage().open("az://lake", AzureOptions(**azure.server.options, attempts=1))
    with pytest.raises(StorageError, match="CERTIFICATE_VERIFY_FAILED"):
        store.read("lake/x")
    store.close()
