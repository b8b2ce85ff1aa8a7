"""What can be said about an SFTP server beside the URL."""

from __future__ import annotations

from pydantic import Field, SecretStr

from mad_prefect_core.sdk import Options

__all__ = ["SFTPOptions"]


class SFTPOptions(Options):
    """Options of the storage `sftp`. What is not given comes from where `ssh` takes it: `~/.ssh/config`, the keys in
    `~/.ssh`, and the agent that the environment variable SSH_AUTH_SOCK names."""

    password: SecretStr | None = Field(None, description="Of the user that the URL names.")
    client_keys: tuple[str, ...] | None = Field(None, description="Paths of files with private keys.")
    passphrase: SecretStr | None = Field(None, description="Of the private keys that are encrypted.")
    known_hosts: str | None = Field(
        None, description="Path of the file with the keys of the servers to trust; ~/.ssh/known_hosts if not given."
    )
    check_host_key: bool = Field(True, description="Refuse a server whose key is not among the known hosts.")
    timeout: float = Field(30, gt=0, description="Seconds without a sign of the server, after which it is given up.")
