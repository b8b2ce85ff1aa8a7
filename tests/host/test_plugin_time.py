"""A plugin that hangs costs the time that plugins are given, once, and nothing afterwards."""

from __future__ import annotations

import _thread
import importlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.errors import PluginLoadError
from mad_prefect_core.plugins import PluginHost, PluginRecord, use_host
from mad_prefect_core.settings import Settings, use_settings
from mad_prefect_core.threads import StillRunningError, run_within

Distributions = Any  # of the conftest beside this file
Host = Callable[..., PluginHost]

HANGING = {"fake-hangs": "import", "fake-hangs-in-hook": "hook mad_prefect_formats", "fake-spins": "import"}
DISTRIBUTIONS = Path(__file__).parent / "distributions"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGIN_TIMEOUT", "1")


def record_of(host: PluginHost, distribution: str) -> PluginRecord:
    return next(record for record in host.plugins() if record.distribution == distribution)


@pytest.mark.parametrize("hanging", sorted(HANGING))
def test_a_plugin_that_hangs_fails_in_time_and_says_where_and_what_to_do(
    impatient: None, host_of: Host, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def counted(call: Callable[[], Any], seconds: float) -> Any:
        try:
            return run_within(call, seconds)
        except StillRunningError:
            waits.append(seconds)
            raise

    monkeypatch.setattr("mad_prefect_core.plugins.calls.run_within", counted)
    host = host_of("fake-good", hanging)
    error = record_of(host, hanging).error

    assert waits == [1]
    assert isinstance(error, PluginLoadError)
    assert f"The plugin's {HANGING[hanging]} was not done after 1 seconds" in str(error)
    assert f"{hanging} 1.0" in str(error)
    assert "MAD_PREFECT_PLUGIN_TIMEOUT" in str(error)
    assert "MAD_PREFECT_PLUGINS_DENY" in str(error)


@pytest.mark.parametrize("hanging", sorted(HANGING))
def test_a_plugin_that_hangs_leaves_the_others_working_and_is_waited_for_once(
    impatient: None, host_of: Host, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_of("fake-good", hanging)
    host.plugins()

    def again(*_: object) -> None:
        raise AssertionError("waited for once more")

    monkeypatch.setattr("mad_prefect_core.plugins.calls.run_within", again)
    assert [f.name for f in host.formats()] == ["gzip", "notes"]
    assert host.format_of("x.notes")[0].name == "notes"
    assert host.batches(object()) is None


def test_nothing_that_a_plugin_brought_before_it_hung_is_used(impatient: None, host_of: Host) -> None:
    host = host_of("fake-hangs-in-hook")

    assert host.formats() == []
    assert record_of(host, "fake-hangs-in-hook").formats == []


def test_a_plugin_that_computes_for_ever_stops_when_its_time_is_over(impatient: None, host_of: Host) -> None:
    before = set(threading.enumerate())
    host_of("fake-spins").plugins()

    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


def test_a_plugin_that_is_done_after_its_time_brings_nothing_later(host_with: Host) -> None:
    host = host_with(
        "fake-late",
        "import threading\nmay_go_on = threading.Event()\n"
        "@hookimpl\ndef mad_prefect_formats():\n    may_go_on.wait()\n    return [FakeFormat('late', '.late')]\n",
    )
    before = set(threading.enumerate())
    with use_settings(Settings(MAD_PREFECT_PLUGIN_TIMEOUT=0.5)):
        host.plugins()
    import fake_late

    fake_late.may_go_on.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)

    assert host.formats() == []
    assert record_of(host, "fake-late").status == "failed"


def test_a_slow_plugin_is_waited_for_as_long_as_the_setting_says(host_with: Host) -> None:
    host = host_with("fake-slow", "import time\ntime.sleep(0.7)\n")
    with use_settings(Settings(MAD_PREFECT_PLUGIN_TIMEOUT=20)):
        assert record_of(host, "fake-slow").status == "loaded"


def test_plugins_are_loaded_with_the_settings_in_force_where_they_were_asked_for(host_with: Host) -> None:
    host = host_with(
        "fake-reads",
        "from mad_prefect_core.settings import get_settings\nseen = get_settings().filesystem_url\n",
    )
    with use_settings(Settings(FILESYSTEM_URL="file:///a/place")):
        host.plugins()

    import fake_reads

    assert fake_reads.seen == "file:///a/place"


@pytest.mark.parametrize("hanging", sorted(HANGING))
def test_the_process_ends_though_a_plugin_hangs(hanging: str) -> None:
    paths = [str(DISTRIBUTIONS), str(DISTRIBUTIONS / "fake-good"), str(DISTRIBUTIONS / hanging)]
    program = (
        f"import sys, importlib.metadata as m\nsys.path[:0] = {paths!r}\n"
        "from mad_prefect_core.plugins import PluginHost\n"
        f"found = [e for d in m.distributions(path={paths[1:]!r}) for e in d.entry_points]\n"
        "print({r.distribution: r.status for r in PluginHost(found).plugins()})\n"
    )
    environ = {"MAD_PREFECT_PLUGIN_TIMEOUT": "2", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert f"{hanging!r}: 'failed'" in done.stdout
    assert "'fake-good': 'loaded'" in done.stdout


# -- import locks ----------------------------------------------------------------------------------------------------


def test_a_package_whose_import_asks_for_plugins_may_bring_one_itself(
    impatient: None, distributions: Distributions, tmp_path: Path
) -> None:
    """In another thread its plugin's import would wait for the package's, which waits for its plugin."""
    package = tmp_path / "site" / "fake_own"
    info = tmp_path / "site" / "fake_own-1.0.dist-info"
    for folder in (package, info):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from mad_prefect_core.plugins import get_host\nnames = [f.name for f in get_host().formats()]\n"
    )
    (package / "plugin.py").write_text(
        "from fake_parts import *\nfrom mad_prefect_core import hookimpl\nrequires_plugin_api = (1, 1)\n"
        "@hookimpl\ndef mad_prefect_formats():\n    return [FakeFormat('own', '.own')]\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mad_prefect]\nown = fake_own.plugin\n")
    distributions.install(tmp_path / "site")

    with use_host(distributions.checked_in("fake-good")):
        assert importlib.import_module("fake_own").names == ["gzip", "notes", "own"]


def test_a_plugin_that_waits_for_the_import_that_asked_for_plugins_says_which(
    impatient: None, host_with: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fake_flows.py").write_text(
        "from mad_prefect_core.plugins import get_host\nhost = get_host()\nhost.plugins()\nready = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    host = host_with("fake-waits", "import fake_flows\nassert fake_flows.ready\n")
    with use_host(host):
        importlib.import_module("fake_flows")

    assert "It may wait for the import of fake_flows" in str(record_of(host, "fake-waits").error)


# -- what it is made of ----------------------------------------------------------------------------------------------


def test_a_call_in_time_returns_or_raises_what_it_does_anyway() -> None:
    assert run_within(lambda: 7, 20) == 7
    with pytest.raises(ZeroDivisionError):
        run_within(lambda: 1 // 0, 20)


def test_an_interrupt_ends_the_wait_and_the_call() -> None:
    threads: list[threading.Thread] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores interrupts

    def spin() -> None:
        threads.append(threading.current_thread())
        _thread.interrupt_main()
        while True:
            pass

    try:
        with pytest.raises(KeyboardInterrupt):
            run_within(spin, 60)
    finally:
        signal.signal(signal.SIGINT, before)
    threads[0].join(10)
    assert not threads[0].is_alive()
