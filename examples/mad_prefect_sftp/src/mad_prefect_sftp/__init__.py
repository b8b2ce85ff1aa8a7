"""Files on SFTP servers for mad-prefect."""

from mad_prefect_sftp.options import SFTPOptions
from mad_prefect_sftp.storage import SFTPStorage

__all__ = ["SFTPOptions", "SFTPStorage"]
