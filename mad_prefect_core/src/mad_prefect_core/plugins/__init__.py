"""The plugin host: finds plugins, keeps what they bring, and says what went wrong with which."""

from mad_prefect_core.plugins.host import PluginHost, get_host, use_host
from mad_prefect_core.plugins.records import PluginRecord
from mad_prefect_core.plugins.registry import Conflict, catalogue, folder_of, install_hint

__all__ = [
    "Conflict",
    "PluginHost",
    "PluginRecord",
    "catalogue",
    "folder_of",
    "get_host",
    "install_hint",
    "use_host",
]
