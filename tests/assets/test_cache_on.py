"""What else makes a cached call run again: a change of the code, and newer results of the assets it read."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.assets.code import code_digest
from mad_prefect_core.errors import OptionError

HOUR = timedelta(hours=1)

SOURCE = """
from dataclasses import dataclass
from functools import partial

RATE = 2
UNUSED = 1

def helper(n):
    return n * RATE

class Cleaner:
    def clean(self, n):
        return n

def outer(k):
    def inner(n=1):
        # a comment
        return [{"n": helper(n) + k + Cleaner().clean(n)} for n in range(n)]
    return inner

fn = outer(3)
"""


def function_of(source: str, file: str = "users_code.py", **names: Any) -> Any:
    """The `fn` of a source, as if imported from one path each time."""
    namespace: dict[str, Any] = {"__name__": "users_code", **names}
    exec(compile(textwrap.dedent(source), file, "exec", dont_inherit=True), namespace)  # noqa: S102
    return namespace["fn"]


def digest_of(source: str, **names: Any) -> str:
    return code_digest(function_of(source, **names))


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("return n * RATE", "return n + RATE", True),
        ("RATE = 2", "RATE = 3", True),
        ("outer(3)", "outer(4)", True),
        ("inner(n=1)", "inner(n=2)", True),
        ("clean(self, n):\n        return n", "clean(self, n):\n        return n + 1", True),
        ("fn = outer(3)", "fn = partial(outer(3), n=5)", True),
        ("# a comment", "# another one\n", False),
        ("UNUSED = 1", "UNUSED = 2", False),
        ("RATE = 2", "\n\nRATE = 2", False),
    ],
)
def test_what_the_code_does_counts_and_nothing_else(before: str, after: str, changes: bool) -> None:
    assert before in SOURCE
    first, second = digest_of(SOURCE), digest_of(SOURCE.replace(before, after))
    assert (first != second) == changes
    assert first == digest_of(SOURCE)


REACHED = {
    "class attribute": "class C:\n  LIMIT = 5\ndef fn(): return C.LIMIT",
    "inherited method": "class A:\n  def h(self): return 5\nclass B(A): pass\ndef fn(): return B().h()",
    "metaclass": "class M(type):\n  LIMIT = 5\nclass C(metaclass=M): pass\ndef fn(): return C.LIMIT",
    "property": "class A:\n  @property\n  def h(self): return 5\ndef fn(): return A().h",
    "cached property": (
        "import functools\nclass A:\n  @functools.cached_property\n  def h(self): return 5\ndef fn(): return A().h"
    ),
    "partial method": (
        "import functools\nclass A:\n  def g(self, n): return n\n  h = functools.partialmethod(g, 5)\n"
        "def fn(): return A().h()"
    ),
    "enum value": "import enum\nclass E(enum.Enum):\n  A = 5\ndef fn(): return E.A.value",
    "enum member": "import enum\nclass E(enum.Enum):\n  A = 5\ne = E.A\ndef fn(): return e.value",
    "method of an instance": "class A:\n  def h(self): return 5\na = A()\ndef fn(): return a.h()",
    "attribute of an instance": "class A: pass\na = A()\na.x = 5\ndef fn(): return a.x",
    "slot of an instance": "class A:\n  __slots__ = ('x',)\na = A()\na.x = 5\ndef fn(): return a.x",
    "method of a dict's subclass": "class A(dict):\n  def h(self): return 5\na = A()\ndef fn(): return a.h()",
    "function in a dataclass": (
        "from dataclasses import dataclass\nfrom typing import Any\n@dataclass\nclass A:\n  f: Any\n"
        "def h(): return 5\na = A(h)\ndef fn(): return a.f()"
    ),
    "default of a model's field": "import pydantic\nclass M(pydantic.BaseModel):\n  n: int = 5\ndef fn(): return M().n",
    "bound method": "class A:\n  def h(self): return 5\nh = A().h\ndef fn(): return h()",
    "dict of functions": "def h(): return 5\nT = {'a': h}\ndef fn(): return T['a']()",
    "list of functions": "T = [lambda: 5]\ndef fn(): return T[0]()",
    "set of functions": "T = {lambda: 5}\ndef fn(): return [f() for f in T]",
    "order of a dict": "T = dict.fromkeys([1, 2] if 5 == 5 else [2, 1])\ndef fn(): return list(T)",
    "pattern": "import re\nP = re.compile('5')\ndef fn(): return P",
    "getter": "import operator\ng = operator.itemgetter(5)\ndef fn(): return g",
    "builtin": "import math\nh = math.floor if 5 == 5 else math.ceil\ndef fn(): return h(1.5)",
    "cached helper": "import functools\n@functools.lru_cache\ndef h(): return 5\ndef fn(): return h()",
    "generic helper": (
        "import functools\n@functools.singledispatch\ndef h(x): return 1\n@h.register(int)\ndef _(x): return 5\n"
        "def fn(): return h(1)"
    ),
    "context manager": "import contextlib\n@contextlib.contextmanager\ndef h(): yield 5\ndef fn(): return h()",
    "decorator of a helper": (
        "import functools\ndef by(f):\n  @functools.wraps(f)\n  def w(): return f() * 5\n  return w\n"
        "@by\ndef h(): return 1\ndef fn(): return h()"
    ),
    "decorator of the function": (
        "import functools\ndef by(f):\n  @functools.wraps(f)\n  def w(): return f() * 5\n  return w\n"
        "@by\ndef fn(): return 1"
    ),
    "decorated function": (
        "import functools\ndef by(f):\n  @functools.wraps(f)\n  def w(): return f()\n  return w\n"
        "@by\ndef fn(): return 5"
    ),
    "attribute of a function": "def h(): return h.limit\nh.limit = 5\ndef fn(): return h()",
    "constant in a tuple with an ellipsis": "def fn(x=None): return x and x[..., 5]",
    "asset": (
        "from mad_prefect_core import asset\n@asset('5.json', name='of_a_reached_asset')\ndef h(): return []\n"
        "def fn(): return h"
    ),
    "argument of an asset": (
        "from mad_prefect_core import asset\n@asset('x.json', name='of_a_bound_asset')\ndef f(n): return []\n"
        "h = f.with_arguments(5)\ndef fn(): return h"
    ),
}


@pytest.mark.parametrize("reached", REACHED)
def test_a_change_of_what_the_function_reaches_is_noticed(reached: str) -> None:
    source = REACHED[reached]
    assert digest_of(source) == digest_of(source)
    changed = source.replace("5 == 5", "5 == 6") if "5 == 5" in source else source.replace("5", "7")
    assert digest_of(source) != digest_of(changed)


def test_an_asset_counts_by_what_it_is_called_and_where_it_is_not_by_its_code() -> None:
    source = """
    from mad_prefect_core import asset

    @asset("x.json", name="of_a_used_asset")
    def up():
        return [5]

    def fn():
        return up
    """
    assert digest_of(source) == digest_of(source.replace("5", "6"))


PACKAGE = {
    "__init__.py": "",
    "deep/__init__.py": "",
    "deep/helpers.py": "from users_package.deep import more\ndef f(): return more.g()",
    "deep/more.py": "LIMIT = 5\ndef g(): return LIMIT",
}
WAYS = {
    "module": "import users_package.deep.helpers\ndef fn(): return users_package.deep.helpers.f()",
    "module in a closure": (
        "def outer():\n  from users_package.deep import helpers as h\n  def fn(): return h.f()\n  return fn\n"
        "fn = outer()"
    ),
    "inside": "def fn():\n  from users_package.deep.helpers import f\n  return f()",
    "inside, sub-module": "def fn():\n  from users_package.deep import helpers\n  return helpers.f()",
    "inside, whole": "def fn():\n  import users_package.deep.helpers\n  return users_package.deep.helpers.f()",
    "inside, under a name": "def fn():\n  import users_package.deep.helpers as h\n  return h.f()",
    "inside, relative": "def fn():\n  from .deep import helpers\n  return helpers.f()",
}


def fresh(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    """Have the package be as it is in a new process, with these files in place of its own."""
    for name, text in {**PACKAGE, **files}.items():
        path = folder / "users_package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(folder)
    for module in [name for name in sys.modules if name.partition(".")[0] == "users_package"]:
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize("way", WAYS)
def test_a_helper_is_followed_however_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    digests = []
    for limit in (5, 5, 6):
        fresh(monkeypatch, tmp_path, **{"deep/more.py": PACKAGE["deep/more.py"].replace("5", str(limit))})
        fn = function_of(WAYS[way], __package__="users_package")
        before = code_digest(fn)
        fn()
        assert code_digest(fn) == before, "what the call itself imports is no change"
        digests.append(before)
    assert digests[0] == digests[1] != digests[2]


def test_the_functions_own_package_counts_where_it_is_installed_and_others_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def digest(package: str, n: int) -> str:
        helpers = ModuleType(f"{package}.helpers")
        helpers.__file__ = f"{sysconfig.get_path('purelib')}/{package}/helpers.py"
        monkeypatch.setitem(sys.modules, helpers.__name__, helpers)
        of_it = {"__name__": helpers.__name__}
        vars(helpers)["f"] = function_of(f"def fn(): return {n}", helpers.__file__, **of_it)
        source = f"def fn(): return helpers.f(), {n if package == 'own' else 0}"
        own = f"{sysconfig.get_path('purelib')}/own/assets.py"
        return code_digest(function_of(source, own, __name__="own.assets", helpers=helpers))

    assert digest("own", 5) != digest("own", 6)
    assert digest("other", 5) == digest("other", 6)


def test_the_digest_is_the_same_in_every_process_and_after_many_calls(tmp_path: Path) -> None:
    (tmp_path / "users.py").write_text(
        "import enum, functools, re\n"
        "class Flags(enum.Flag):\n  A = 1\n  B = 2\n"
        "class C:\n  names = {'a', 'b', 'c'}\n  @functools.cached_property\n  def all(self): return {'x', 'y', 'z'}\n"
        "c, words, mixed = C(), frozenset('abcdef'), {'a', 1, None, len, C, ('p', 'q')}\n"
        "def fn(n=1):\n  Flags.A | Flags.B\n  return n in {'d', 'e', 'f'}, c.all, words, mixed, n + n\n"
    )
    script = (
        "from mad_prefect_core.assets.code import code_digest; from users import fn\n"
        "print(code_digest(fn)); [fn(i) for i in range(100)]; print(code_digest(fn))"
    )
    printed: list[str] = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path)}
        printed += subprocess.check_output([sys.executable, "-c", script], env=environment, text=True).split()
    assert len(printed) == 4
    assert len(set(printed)) == 1


def test_no_function_is_too_odd_for_a_digest() -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

        @property  # type: ignore[misc]
        def __class__(self) -> Any:  # as of a proxy without its object
            raise RuntimeError

    odd, circle, deep, wide = Odd(), [], [], ()  # type: ignore[var-annotated]
    circle.append(circle)
    for _ in range(20_000):
        deep = [deep]
    for _ in range(60):
        wide = (wide, wide)  # type: ignore[assignment]

    def fn() -> Any:
        import a_module_that_is_not_there  # type: ignore[import-not-found]

        return odd, circle, deep, wide, a_module_that_is_not_there, never

    fn.__wrapped__ = fn  # type: ignore[attr-defined]
    assert code_digest(fn) == code_digest(fn)
    assert len(code_digest(print)) == len(code_digest(odd)) == 32  # type: ignore[arg-type]
    never = 1


def test_code_that_refers_to_itself_or_to_what_has_no_value_has_a_digest() -> None:
    lock = __import__("threading").Lock()

    def even(n: int) -> bool:
        with lock:
            return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    assert code_digest(even) == code_digest(even) != code_digest(odd)


async def test_s43_a_change_of_the_code_is_no_hit_where_that_was_asked_for(base: Path) -> None:
    def make(n: int, **options: Any) -> DataAsset[..., Any]:
        @asset("x.json", name="x", cache_expiration=HOUR, **options)
        def x() -> Any:
            return [{"n": n}]

        return x

    await make(1, cache_on=("code",))()
    assert (await make(1, cache_on=("code",)).explain()).hit
    assert (await make(2, cache_on=("code",)).explain()).reason == "options"
    await make(1)()
    assert (await make(2).explain()).hit, "as in 2.x"


@pytest.mark.parametrize("by", ["call", "argument", "sql", "task"])
async def test_a_newer_result_of_an_asset_that_was_read_is_no_hit_where_that_was_asked_for(base: Path, by: str) -> None:
    import asyncio

    @asset("up.json", name="up_of_this_test", cache_expiration=HOUR)
    def up() -> Any:
        return [{"n": 1}]

    @asset("down.json", name="down", cache_expiration=HOUR, cache_on=("upstream",))
    async def down(source: Any = None) -> Any:
        if by == "call":
            yield await up.query()
        elif by == "argument":
            yield source
        elif by == "sql":
            yield await other.query("SELECT up_of_this_test.n FROM data, up_of_this_test")
        else:
            yield await asyncio.create_task(up.query())

    @asset("other.json", name="other", cache_expiration=HOUR)
    def other() -> Any:
        return [{"x": 1}]

    bound = down.with_arguments(up) if by == "argument" else down
    artifact = await bound()
    assert "up_of_this_test" in {read.asset_name for read in artifact.run.upstream}
    assert (await bound.explain()).hit
    await up.with_options(cache_expiration=None)()
    told = await bound.explain()
    assert (told.reason, told.text) == ("upstream", "It runs: up_of_this_test has a newer result than it read.")
    assert not (await bound()).from_cache
    assert (await bound.explain()).hit


@pytest.mark.parametrize("wrong", ["code", ("codes",)])
def test_a_cache_on_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(OptionError, match=r"cache_on can't be.*code, upstream"):
        asset("x.json", cache_on=wrong)(lambda: None)
