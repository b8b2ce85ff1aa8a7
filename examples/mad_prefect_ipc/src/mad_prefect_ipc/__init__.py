"""Arrow IPC files for mad-prefect."""

from mad_prefect_ipc.format import IpcFormat
from mad_prefect_ipc.options import ReadIpcOptions, WriteIpcOptions

__all__ = ["IpcFormat", "ReadIpcOptions", "WriteIpcOptions"]
