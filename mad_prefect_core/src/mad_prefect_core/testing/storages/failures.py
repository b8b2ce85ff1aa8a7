"""Storage operations that fail: every one of them, once and for ever, before and after it took effect."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.testing.base import complaint, costly, needs
from mad_prefect_core.testing.faults import Action, Faults, When, every_fault, raising, refuse
from mad_prefect_core.testing.storages.place import Place, StorageBase, at_once

__all__ = ["FailureContract"]

Way: TypeAlias = tuple[bool, When, Action]
"""Whether it is for ever, when, and what is raised."""

_ONCE: tuple[tuple[bool, When], ...] = ((False, "before"), (False, "after"))
_WAYS: tuple[tuple[bool, When], ...] = (*_ONCE, (True, "before"), (True, "after"))
_SEEN = "Name in `fault_targets` what the storage calls"


class FailureContract(StorageBase, contract=True):
    """Faults. No error means new; an error is an `OSError` and means old or new, as where only the reply is lost."""

    @needs("atomic_replace")
    def test_a_publish_that_fails_leaves_the_old_file_or_the_new(self, place: Place) -> None:
        """If any storage operation of a publish fails, the file is the old or the new one, never none or a part; the
        publish raises `OSError` or has succeeded; the next one succeeds, and nothing is left that readers see."""
        self._try_publish(place, b"new", self._ways(_WAYS))

    def test_after_a_publish_that_fails_the_next_succeeds(self, place: Place) -> None:
        """If any storage operation of a publish fails, it raises `OSError` or has succeeded; the next one succeeds,
        waits for it no longer than `locks_last`, and nothing is left that readers see. The file may be torn then."""
        self._try_publish(place, b"new", self._ways(self._ways_of_any(place)), torn=True)

    def test_a_link_that_fails_keeps_its_source(self, place: Place) -> None:
        """The same of a link; its source stays as it was."""
        place.publish("d/source", b"new")

        def link() -> None:
            place.at("d/source").link_to(place.at("d/x.bin"))

        self._try_every_fault(place, link, b"new", lambda: None, self._ways(self._ways_of_any(place)), torn=True)
        wrong = place.unlike({"d/source": b"new"})
        assert not wrong, complaint("A link that failed has changed its source", "Copy it, and only read it.", wrong)

    @costly
    @needs("atomic_replace")
    def test_a_large_publish_that_fails_leaves_the_old_file_or_the_new(self, place: Place) -> None:
        """The same of a file that is larger than `parts_above`, which clients send in another way."""
        self._try_publish(place, self.large(b"n"), [(False, "after", refuse), (True, "before", refuse)])

    @needs("atomic_replace")
    def test_a_link_that_fails_leaves_the_old_file_or_the_new(self, place: Place) -> None:
        """The same of a link; its source stays."""
        place.publish("d/source", b"new")

        def link() -> None:
            place.at("d/source").link_to(place.at("d/x.bin"))

        self._try_every_fault(place, link, b"new", lambda: None, self._ways(_WAYS))
        assert place.bytes_at("d/source") == b"new"

    @needs("conditional_replace")
    def test_a_replace_that_fails_leaves_the_old_object_or_the_new(self, place: Place) -> None:
        """The same of a compare-and-swap."""
        self._try_every_fault(place, *self._replacing(place), self._ways(_WAYS))

    @needs("conditional_replace")
    def test_a_lost_reply_is_not_a_conflict(self, place: Place) -> None:
        """A create or replace whose reply is lost never reports a conflict with its own bytes in place: another
        attempt would then take its own write for that of another writer."""
        replace, new, prepare = self._replacing(place)
        wrong = []
        for turn, way in enumerate(self._ways(_WAYS)):
            for injected in self._every_fault(place, way):
                place.publish("d/x.bin", b"old")
                prepare()
                if self._conflicts(injected, replace) and place.bytes_at("d/x.bin") == new:
                    wrong.append(f"replace, {_told(injected, way)}")
            for number, injected in enumerate(self._every_fault(place, way)):
                key = f"{turn}-{number}"
                if self._conflicts(injected, partial(place.replace, key, b"own", None)) and place.bytes_at(key):
                    wrong.append(f"create, {_told(injected, way)}")
        assert not wrong, complaint(
            "A write whose reply was lost is reported as a conflict, with its own bytes in place",
            "Where a write is sent again and refused, read the object: it was this write if it holds these bytes.",
            wrong,
        )

    @needs("sends_again")
    def test_a_request_that_is_lost_once_is_sent_again(self, place: Place) -> None:
        """If any storage operation of a publish, replace, stat or read fails once, it is repeated: no error, and no
        conflict, reaches the caller."""
        replace, new, prepare = self._replacing(place)
        acts: list[tuple[str, Callable[[], object]]] = [
            ("publish", lambda: place.publish("d/x.bin", new)),
            ("replace", replace),
            ("stat", lambda: place.at("d/x.bin").stat()),
            ("read", lambda: place.at("d/x.bin").read()),
        ]
        # A broken disk is no lost request: where the client's own errors are known, these are what is repeated.
        actions = [*map(raising, self.client_errors)] or [refuse]
        ways = [(forever, when, action) for action in actions for forever, when in _ONCE]
        wrong = []
        for name, act in acts:
            for way in ways:
                for injected in self._every_fault(place, way):
                    place.publish("d/x.bin", b"old")
                    prepare()
                    try:
                        with injected:
                            act()
                    except Exception as error:
                        wrong.append(f"{name}, {_told(injected, way)}: {type(error).__name__}")
                    else:
                        if name in ("publish", "replace") and place.bytes_at("d/x.bin") != new:
                            wrong.append(f"{name}, {_told(injected, way)}: nothing was written")
        assert not wrong, complaint(
            "A request that was lost once is not sent again", f"{_SEEN}, below its retries, or mend these.", wrong
        )

    def test_what_can_not_be_read_is_not_taken_for_missing(self, place: Place) -> None:
        """If any storage operation of `stat` or `read` fails they raise `OSError`; they never say that there is no
        file, or another one."""
        location = place.publish("d/x.bin", b"data")
        expected = location.stat()
        assert expected is not None
        wrong, failures = [], 0
        for way in self._ways(_WAYS):
            for injected in self._every_fault(place, way):
                try:
                    with injected:
                        if (stat := location.stat()) != expected:
                            wrong.append(f"stat() gives {stat}, {_told(injected, way)}")
                        if (stored := location.read()) is None or stored.data != b"data":
                            wrong.append(f"read() gives {stored}, {_told(injected, way)}")
                except OSError:
                    assert injected.failed
                failures += bool(injected.failed)
        assert not wrong, complaint(
            "What can't be read is taken for missing, or for another file",
            "Answer None only where the server says that there is none; raise `OSError` for everything else.",
            wrong,
        )
        assert failures, complaint("No storage operation was seen", f"{_SEEN}.")

    @needs("atomic_replace")
    def test_a_first_publish_that_fails_leaves_none_or_all(self, place: Place) -> None:
        """If any storage operation of the first publish of a file fails, there is no file or the whole one."""
        wrong = self._first_publishes(place, b"new", self._ways(_WAYS))
        assert not wrong, complaint(_TORN, _SWITCH, wrong)

    @costly
    @needs("atomic_replace")
    def test_a_large_first_publish_that_fails_leaves_none_or_all(self, place: Place) -> None:
        """The same of a file that is larger than `parts_above`."""
        wrong = self._first_publishes(place, self.large(b"n"), [(True, "before", refuse)])
        assert not wrong, complaint(_TORN, _SWITCH, wrong)

    def test_a_staging_that_fails_is_an_os_error(self, place: Place) -> None:
        """A key below a file can't be made where a folder is a file: that is an `OSError` or an ordinary file, and
        the file stays."""
        place.publish("x.bin", b"old")
        expected: dict[str, bytes | None] = {"x.bin": b"old"}
        try:
            place.publish("x.bin/y.bin", b"new")
        except OSError:
            assert place.at("x.bin/y.bin").stat() is None, "A publish that failed has left a file"
        else:
            expected["x.bin/y.bin"] = b"new"
        try:
            wrong = place.unlike(expected)
        except OSError as error:
            wrong = [str(error)]
        assert not wrong, complaint("A file is lost to one whose folder has its name", "Raise OSError.", wrong)

    # -- how they are tried --------------------------------------------------------------------------------------------

    def _ways(self, ways: Sequence[tuple[bool, When]]) -> list[Way]:
        actions = [refuse, *map(raising, self.client_errors)]
        return [(forever, when, action) for action in actions for forever, when in ways]

    def _every_fault(self, place: Place, way: Way) -> Iterator[Faults]:
        """At every so-many-th operation, each way from another one on. At least as many ways as steps come to all of
        them together."""
        forever, when, action = way
        first = 1 + (2 * forever + (when == "after")) % self.fail_at_every
        targets = self.fault_targets(place)
        return every_fault(*targets, forever=forever, when=when, action=action, first=first, step=self.fail_at_every)

    def _ways_of_any(self, place: Place) -> Sequence[tuple[bool, When]]:
        """For what any storage does: all of them, unless the tests of whole files try the same by all of them."""
        return _ONCE[1:] if place.storage.capabilities.atomic_replace else _WAYS

    def _try_publish(self, place: Place, new: bytes, ways: Sequence[Way], *, torn: bool = False) -> None:
        def publish() -> None:
            place.publish("d/x.bin", new, durable=True)

        self._try_every_fault(place, publish, new, lambda: None, ways, torn=torn)

    def _replacing(self, place: Place) -> tuple[Callable[[], object], bytes, Callable[[], None]]:
        """A replacement of `d/x.bin`, what it writes, and what has to be done before each."""
        tokens: list[str] = []

        def prepare() -> None:
            found = place.at("d/x.bin").read()
            assert found is not None
            tokens.append(found.token)

        return lambda: place.replace("d/x.bin", b"new", tokens[-1]), b"new", prepare

    def _conflicts(self, injected: Faults, act: Callable[[], object]) -> bool:
        try:
            with injected:
                act()
        except StorageConflictError:
            return True
        except OSError:
            pass
        return False

    def _try_every_fault(
        self,
        place: Place,
        act: Callable[[], object],
        new: bytes,
        prepare: Callable[[], None],
        ways: Sequence[Way],
        *,
        torn: bool = False,
    ) -> None:
        """Fail each operation of `act`, and look at what is there then; with `torn` it may be anything."""
        wrong, failures = [], 0
        before = "without a fault"
        for way in ways:
            for injected in self._every_fault(place, way):
                self._publish_next(place, before)
                prepare()
                raised = _raised(injected, act)
                before = _told(injected, way)
                failures += bool(injected.failed)
                seen = _state(place.bytes_or_changed("d/x.bin") if torn else place.bytes_at("d/x.bin"), new)
                if problem := _problem(raised, seen, torn=torn):
                    wrong.append(f"{problem}, {before}")
                if strays := sorted(place.listing(".bin") - {"d/x.bin"}):
                    wrong.append(f"readers see {', '.join(strays)}, {before}")
        self._publish_next(place, before)
        assert not wrong, complaint(_FAILED if torn else _TORN, _SAY if torn else _SWITCH, wrong)
        assert failures, complaint("No storage operation was seen", f"{_SEEN}.")

    def _publish_next(self, place: Place, before: str) -> None:
        """Publish the old file, in time, whatever failed before."""
        begun = time.monotonic()
        try:
            at_once([partial(place.publish, "d/x.bin", b"old")], self.patience)
            wrong = place.unlike({"d/x.bin": b"old"})
        except TimeoutError:
            wrong = []
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        took = time.monotonic() - begun
        assert not wrong, complaint(f"The next publish does not succeed, {before}", _LET_GO, wrong)
        assert took < self.in_time, complaint(f"The next publish took {took:.0f} s, {before}", _LET_GO)

    def _first_publishes(self, place: Place, new: bytes, ways: Sequence[Way]) -> list[str]:
        wrong = []
        for turn, way in enumerate(ways):
            for number, injected in enumerate(self._every_fault(place, way)):
                key = f"{turn}-{number}/x.bin"
                raised: Exception | None = None
                try:
                    with injected:
                        place.publish(key, new)
                except OSError as error:
                    raised = error
                seen = _state(place.bytes_at(key), new)
                if not (seen == "the new file" or (raised and seen == "no file")):
                    wrong.append(f"{seen}, {_told(injected, way)}")
        return wrong


_TORN = "A write that failed leaves neither the old file nor the new one, whole, or raises what is no OSError"
_SWITCH = "Write under a name that nobody reads, or in one request, and switch at the end."
_FAILED = "A write that failed raises nothing, or what is no OSError"
_SAY = "Let what the client raises through, as an OSError."
_LET_GO = (
    "Let go of a lock also where its request, or the reply, was lost: look whether it is there, and your own. Give "
    "temporary files names of their own. Where a lock ends by itself, say after how many seconds in `locks_last`."
)


def _raised(injected: Faults, act: Callable[[], object]) -> Exception | None:
    try:
        with injected:
            act()
    except Exception as error:
        return error
    return None


def _problem(raised: Exception | None, seen: str, *, torn: bool = False) -> str | None:
    """What is wrong with how a write ended, given what is there then; with `torn`, that may be anything."""
    if raised is None:
        return None if seen == "the new file" else f"no error was raised, and there is {seen}"
    if not isinstance(raised, OSError):
        return f"{type(raised).__name__} was raised, which is no OSError"
    if isinstance(raised, StorageConflictError) and seen != "the old file" and not torn:
        return f"a conflict was raised, and there is {seen}"
    return None if torn or seen in ("the old file", "the new file") else f"there is {seen}"


def _state(content: bytes | str | None, new: bytes) -> str:
    if content is None:
        return "no file"
    if content == new:
        return "the new file"
    if content == b"old":
        return "the old file"
    return f"a file of {len(content)} bytes that nobody wrote" if isinstance(content, bytes) else "what can't be read"


def _told(injected: Faults, way: Way) -> str:
    """Which fault it was."""
    forever, when, _ = way
    failed = injected.failed[0] if injected.failed else None
    if failed is None:
        return "without a fault"
    how = "the line is cut" if forever else "one request fails"
    return f"where {how} {when} operation {failed.number} ({failed.name})"
