"""Storage operations that fail: every one of them, once and for ever, before and after it took effect."""

from __future__ import annotations

from collections.abc import Callable

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.testing.base import needs
from mad_prefect_core.testing.faults import When, every_fault
from mad_prefect_core.testing.storages.place import Place, StorageBase

__all__ = ["FailureContract"]

_WAYS: tuple[tuple[bool, When], ...] = ((False, "before"), (True, "before"), (False, "after"), (True, "after"))


class FailureContract(StorageBase, contract=True):
    """Faults. No error means new; an error is an `OSError` and means old or new, as where only the reply is lost."""

    @needs("atomic_replace")
    def test_a_publish_that_fails_leaves_the_old_file_or_the_new(self, place: Place) -> None:
        """If any storage operation of a publish fails, the file is the old or the new one, never none or a part; the
        publish raises `OSError` or has succeeded; the next one succeeds, and nothing is left that readers see."""

        def publish() -> None:
            place.publish("d/x.bin", b"new", durable=True)

        self._try_every_fault(place, publish)

    @needs("atomic_replace")
    def test_a_link_that_fails_leaves_the_old_file_or_the_new(self, place: Place) -> None:
        """The same of a link; its source stays."""
        place.publish("d/source", b"new")

        def link() -> None:
            place.at("d/source").link_to(place.at("d/x.bin"))

        self._try_every_fault(place, link)
        assert place.bytes_at("d/source") == b"new"

    @needs("conditional_replace")
    def test_a_replace_that_fails_leaves_the_old_object_or_the_new(self, place: Place) -> None:
        """The same of a compare-and-swap; and it never reports a conflict with its own bytes in place, as a repeated
        request would whose first reply was lost."""
        token = ""

        def prepare() -> None:
            nonlocal token
            found = place.at("d/x.bin").read()
            assert found is not None
            token = found.token

        def replace() -> None:
            place.replace("d/x.bin", b"new", token)

        self._try_every_fault(place, replace, prepare)

    def _try_every_fault(
        self, place: Place, act: Callable[[], None], prepare: Callable[[], None] = lambda: None
    ) -> None:
        targets = self.fault_targets(place)
        failures = 0
        for forever, when in _WAYS:
            for injected in every_fault(*targets, forever=forever, when=when):
                place.publish("d/x.bin", b"old")
                prepare()
                raised: Exception | None = None
                with injected:
                    try:
                        act()
                    except OSError as error:
                        raised = error
                failures += bool(injected.failed)
                content, told = place.bytes_at("d/x.bin"), (injected.failed, raised)
                if raised is None:
                    assert content == b"new", told
                elif isinstance(raised, StorageConflictError):
                    assert content == b"old", told
                else:
                    assert content in (b"old", b"new"), told
                assert place.listing(".bin") == {"d/x.bin"}, told
        assert failures, "No storage operation was seen: see fault_targets"

    def test_what_can_not_be_read_is_not_taken_for_missing(self, place: Place) -> None:
        """If any storage operation of `stat` or `read` fails they raise `OSError`; they never say that there is no
        file, or another one."""
        location = place.publish("d/x.bin", b"data")
        expected = location.stat()
        assert expected is not None
        failures = 0
        for forever, when in _WAYS:
            for injected in every_fault(*self.fault_targets(place), forever=forever, when=when):
                with injected:
                    try:
                        assert location.stat() == expected, injected.failed
                        stored = location.read()
                        assert stored is not None, injected.failed
                        assert stored.data == b"data"
                    except OSError:
                        assert injected.failed
                failures += bool(injected.failed)
        assert failures, "No storage operation was seen: see fault_targets"

    @needs("atomic_replace")
    def test_a_first_publish_that_fails_leaves_none_or_all(self, place: Place) -> None:
        """If any storage operation of the first publish of a file fails, there is no file or the whole one."""
        for forever, when in _WAYS:
            for number, injected in enumerate(every_fault(*self.fault_targets(place), forever=forever, when=when)):
                key = f"{when}{forever}{number}/x.bin"
                with injected:
                    try:
                        place.publish(key, b"new")
                        raised = False
                    except OSError:
                        raised = True
                content = place.bytes_at(key)
                assert content == b"new" or (raised and content is None), injected.failed

    def test_a_staging_that_fails_is_an_os_error(self, place: Place) -> None:
        """A key below a file can't be made where a folder is a file: that is an `OSError` or an ordinary file, and
        the file stays."""
        place.publish("x.bin", b"old")
        try:
            place.publish("x.bin/y.bin", b"new")
        except OSError:
            assert place.at("x.bin/y.bin").stat() is None
        else:
            assert place.bytes_at("x.bin/y.bin") == b"new"
        assert place.bytes_at("x.bin") == b"old"
