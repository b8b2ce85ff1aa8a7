"""What must not be in the tree: addresses of package registries, lock files, paths of somebody's machine, and the
advice to install a name of ours from an index, where it is not published and anybody could take it.

`python .ci/check_tree.py [folder]` looks at all files of a git checkout that are not ignored, prints each place
and fails if there is one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Put together from pieces, so that this file passes its own check.
REGISTRIES = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "anaconda" + ".org",
    "deb." + "debian.org",
)
LOCK_FILES = re.compile(r"(uv\.lock|pylock.*\.toml|package-lock\.json|poetry\.lock|Pipfile\.lock|pdm\.lock)")
MACHINE_PATHS = re.compile(r"(?<![A-Za-z0-9_./<>{}])/(work|farm|root|home/[a-z]+|Users/[A-Za-z]+)/")

# A folder, `./mad_prefect_core`, is no name.
UNPUBLISHED = re.compile(r"\b(?:(?:install|add)\b|uvx|pipx run)[^`;&#]*?(?<![\w./$-])mad[-_]prefect", re.IGNORECASE)
INSTALLERS = re.compile(r"\b(?:pip|pip3|uv|uvx|pipx|poetry|pdm|conda)\b")


def problems(top: Path) -> Iterator[str]:
    """Each thing that must not be there, with its place."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=top, check=True, capture_output=True, text=True).stdout
    for name in sorted(filter(None, names.split("\0"))):
        path = top / name
        if LOCK_FILES.fullmatch(path.name):
            yield f"{name}: a lock file, which holds the address of a package registry"
        if not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for registry in REGISTRIES:
                if registry in line.lower():
                    yield f"{name}:{number}: the address of a package registry ({registry})"
            if found := MACHINE_PATHS.search(line):
                yield f"{name}:{number}: a path of somebody's machine ({found[0]})"
            if INSTALLERS.search(line) and UNPUBLISHED.search(line):
                yield f"{name}:{number}: the advice to install a name that is not published"


if __name__ == "__main__":
    found = list(problems(Path(*sys.argv[1:2])))
    print("\n".join(found) or "Nothing in the tree that must not be there.")
    sys.exit(bool(found))
