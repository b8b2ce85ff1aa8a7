"""Hooks that are asked, and hooks that are told."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from mad_prefect_core.errors import OptionError, PluginLoadError
from mad_prefect_core.plugins import PluginHost

Host = Callable[..., PluginHost]


def batches(answer: str, condition: str = "isinstance(data, str)", mark: str = "@hookimpl") -> str:
    return f"{mark}\ndef mad_prefect_batches(data):\n    return {answer} if {condition} else None\n"


# -- mad_prefect_batches ---------------------------------------------------------------------------------------------


def test_the_first_plugin_that_knows_an_object_answers_for_it(host_with: Host) -> None:
    host_with("fake-a-numbers", batches("iter(['a'])", "isinstance(data, int)"))
    host_with("fake-b-texts", batches("iter(['b'])"))
    host = host_with("fake-c-texts", batches("iter(['c'])"))

    assert list(host.batches("text")) == ["b"]
    assert list(host.batches(1)) == ["a"]
    assert host.batches(None) is None


def test_a_plugin_may_ask_to_be_tried_first_or_last(host_with: Host) -> None:
    host_with("fake-a", batches("iter(['a'])", mark="@hookimpl(trylast=True)"))
    host_with("fake-b", batches("iter(['b'])"))
    assert list(host_with("fake-b2", batches("iter(['b2'])")).batches("text")) == ["b"]

    host = host_with("fake-c", batches("iter(['c'])", mark="@hookimpl(tryfirst=True)"))
    assert list(host.batches("text")) == ["c"]


def test_a_plugin_that_fails_on_an_object_does_not_keep_it_from_the_one_that_knows_it(
    host_with: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host_with("fake-a-fails", batches("1 / 0"))
    host = host_with("fake-b", batches("iter(['b'])"))

    with caplog.at_level(logging.WARNING):
        assert list(host.batches("text")) == ["b"]
    assert "a-fails (fake-a-fails 1.0)" in caplog.text


def test_an_object_whose_plugin_fails_is_an_error_that_names_the_plugin(host_with: Host) -> None:
    host = host_with("fake-a-fails", batches("1 / 0"))

    with pytest.raises(
        PluginLoadError, match=r"mad_prefect_batches failed: ZeroDivisionError.*fake-a-fails 1\.0"
    ) as caught:
        host.batches("text")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_of_ours_from_a_hook_is_raised_as_it_is(host_with: Host) -> None:
    raises = "from mad_prefect_core.errors import OptionError\n@hookimpl\n"
    host = host_with("fake-own", f"{raises}def mad_prefect_batches(data):\n    raise OptionError('a bad option')\n")

    with pytest.raises(OptionError, match="a bad option"):
        host.batches("text")


@pytest.mark.parametrize("junk", ["['a list']", "42"])
def test_an_answer_that_is_no_iterator_is_an_error_that_names_the_plugin(host_with: Host, junk: str) -> None:
    with pytest.raises(PluginLoadError, match=r"where it is to return an iterator of batches.*fake-junk 1\.0"):
        host_with("fake-junk", batches(junk)).batches("text")


def test_an_async_batches_hook_is_an_error_that_says_so(host_with: Host) -> None:
    host = host_with("fake-async", "@hookimpl\nasync def mad_prefect_batches(data):\n    return None\n")

    with pytest.raises(PluginLoadError, match="is async; hooks are plain functions"):
        host.batches("text")


# -- mad_prefect_base ------------------------------------------------------------------------------------------------


def test_a_plugin_may_name_the_base(host_with: Host) -> None:
    host_with("fake-a", "@hookimpl\ndef mad_prefect_base(settings):\n    return None\n")
    host = host_with("fake-b", "@hookimpl\ndef mad_prefect_base(settings):\n    return settings, {'key': 1}\n")

    assert host.base("shelf://x") == ("shelf://x", {"key": 1})
    assert PluginHost([]).base("shelf://x") is None


def test_a_base_hook_that_fails_is_an_error_and_data_goes_nowhere_else(host_with: Host) -> None:
    host_with("fake-a", "@hookimpl\ndef mad_prefect_base(settings):\n    raise LookupError('no such block')\n")
    host = host_with("fake-b", "@hookimpl\ndef mad_prefect_base():\n    return 'shelf://b', {}\n")

    with pytest.raises(PluginLoadError, match=r"mad_prefect_base failed: LookupError: no such block.*fake-a 1\.0"):
        host.base(None)


@pytest.mark.parametrize("junk", ["'shelf://x'", "('shelf://x',)", "({}, 'shelf://x')"])
def test_a_base_that_is_not_a_url_and_options_is_refused(host_with: Host, junk: str) -> None:
    host = host_with("fake-junk", f"@hookimpl\ndef mad_prefect_base():\n    return {junk}\n")

    with pytest.raises(PluginLoadError, match="a URL and a dict of storage options"):
        host.base(None)


# -- observers -------------------------------------------------------------------------------------------------------


def test_an_observer_that_fails_is_logged_with_its_distribution_and_the_others_are_told(
    host_of: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host = host_of("fake-observer", "fake-watcher")
    host.notify("mad_prefect_run_finished", "run 1")
    host.notify("mad_prefect_cache_hit", "run 2")

    import fake_watcher

    assert fake_watcher.seen == [("finished", "run 1"), ("hit", "run 2")]
    finished, hit = [record for record in caplog.records if record.levelno == logging.ERROR]
    for record, cause in ((finished, "ConnectionError: the dashboard is down"), (hit, "SystemExit: the dashboard")):
        assert cause in record.message
        assert "observer (fake-observer 1.0)" in record.message
        assert "The run is not affected" in record.message
    assert "fake_observer.py" in caplog.text  # the traceback


def test_an_async_observer_is_logged_and_not_left_unawaited(host_with: Host, caplog: pytest.LogCaptureFixture) -> None:
    host = host_with("fake-async", "@hookimpl\nasync def mad_prefect_run_finished(run):\n    pass\n")
    host.notify("mad_prefect_run_finished", "run")

    assert "is async; hooks are plain functions" in caplog.text
