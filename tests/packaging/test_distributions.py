"""The distributions belong together, and each stands alone."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Distribution = Any  # of the conftest beside this file

CORE = "mad_prefect_core"
# What a plugin may import of the core, ours or a stranger's.
PUBLIC = {f"{CORE}.sdk", f"{CORE}.testing"}


def imports(package: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """Every import in the package, also inside functions: file, module, names taken from it."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name, []) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                yield path, node.module or "", [alias.name for alias in node.names]


def requirement_names(distribution: Distribution) -> set[str]:
    extras = distribution.project.get("optional-dependencies", {}).values()
    lines = [*distribution.project["dependencies"], *(line for extra in extras for line in extra)]
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}


# -- together --------------------------------------------------------------------------------------------------------


def test_every_distribution_has_the_same_version_and_pins_its_siblings_to_it(
    distribution: Distribution, all_distributions: list[Distribution]
) -> None:
    [version] = {d.project["version"] for d in all_distributions}
    siblings = {d.name for d in all_distributions}
    extras = [line for lines in distribution.project.get("optional-dependencies", {}).values() for line in lines]

    pins = [line for line in [*distribution.project["dependencies"], *extras] if line.startswith("mad-prefect")]
    for line in pins:
        name = re.split(r"[^A-Za-z0-9._-]", line)[0]
        assert name in siblings
        assert line == name if name == distribution.name else line == f"{name}=={version}"
    assert distribution.name == "mad-prefect-core" or f"mad-prefect-core=={version}" in pins


def test_every_distribution_says_the_same_python_licence_and_build_backend(
    distribution: Distribution, all_distributions: list[Distribution]
) -> None:
    core = next(d for d in all_distributions if d.name == "mad-prefect-core")
    for key in ("requires-python", "license", "readme"):
        assert distribution.project[key] == core.project[key]
    build = [tomllib.loads((d.folder / "pyproject.toml").read_text())["build-system"] for d in (distribution, core)]
    assert build[0] == build[1]


def test_the_umbrella_brings_the_core_and_every_plugin_or_has_an_extra_for_it(
    root: Path, all_distributions: list[Distribution]
) -> None:
    umbrella = next(d for d in all_distributions if d.folder == root)
    extras = [line for lines in umbrella.project.get("optional-dependencies", {}).values() for line in lines]
    offered = {line.partition("==")[0] for line in [*umbrella.project["dependencies"], *extras]}

    assert {d.name for d in all_distributions} - {umbrella.name} <= offered


# -- each plugin folder is like the other ----------------------------------------------------------------------------


def test_every_plugin_folder_has_the_same_files(plugin: Distribution) -> None:
    kind = {"mad_prefect_formats": "format", "mad_prefect_storage": "storage"}[plugin.folder.parent.name]

    assert plugin.name == f"mad-prefect-{plugin.folder.name}"
    for name in ("pyproject.toml", "README.md"):
        assert (plugin.folder / name).is_file(), name
    for name in ("__init__.py", "plugin.py", f"{kind}.py", "options.py", "py.typed", "capability_card.json"):
        assert (plugin.package / name).is_file(), name


def test_every_plugin_is_found_by_an_entry_point_of_its_own_name(plugin: Distribution) -> None:
    assert plugin.project["entry-points"] == {"mad_prefect": {plugin.folder.name: f"{plugin.package.name}.plugin"}}


def test_a_plugin_imports_only_public_modules_and_names_of_the_core(plugin: Distribution) -> None:
    for path, module, names in imports(plugin.package):
        if module.split(".")[0] == CORE:
            private = [name for name in names if name.startswith("_")]
            assert module in PUBLIC, f"{path}: {module}"
            assert not private, f"{path}: {private}"


def test_examples_and_templates_of_plugins_import_nothing_else_of_the_core_either(root: Path) -> None:
    templates = root / CORE / "src" / CORE / "cli" / "templates"
    files = [*root.glob("examples/mad_prefect_*/src/**/*.py"), *templates.glob("*/src/**/*.py.jinja")]
    assert len(files) > 10
    for path in files:
        taken = re.findall(rf"^\s*(?:from|import) ({CORE}[\w.]*)", path.read_text("utf-8"), re.MULTILINE)
        assert set(taken) <= PUBLIC, f"{path}: {sorted(set(taken) - PUBLIC)}"


def test_no_plugin_imports_another_and_the_core_imports_none(
    distribution: Distribution, root: Path, all_distributions: list[Distribution]
) -> None:
    packages = {d.package.name for d in all_distributions}
    allowed = {distribution.package.name, CORE} if distribution.folder != root else packages
    for path, module, _ in imports(distribution.package):
        assert module.split(".")[0] not in packages - allowed, f"{path}: {module}"


def test_every_package_that_is_imported_is_one_that_the_distribution_or_the_core_asks_for(
    distribution: Distribution, all_distributions: list[Distribution]
) -> None:
    core = next(d for d in all_distributions if d.name == "mad-prefect-core")
    declared = requirement_names(distribution) | requirement_names(core) | {distribution.name}
    providers = importlib.metadata.packages_distributions()
    for path, module, _ in imports(distribution.package):
        top = module.split(".")[0]
        if top in sys.stdlib_module_names:
            continue
        names = {name.lower().replace("_", "-") for name in providers.get(top, [top])}
        assert names & declared, (
            f"{path}: {module} comes from {names or 'nowhere'}, which is not among the dependencies"
        )


# -- tools know all of them ------------------------------------------------------------------------------------------


def test_type_checks_import_layers_and_workspace_know_every_distribution(
    root: Path, distribution: Distribution
) -> None:
    tools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]
    source = (distribution.folder / "src").relative_to(root).as_posix()

    assert source in tools["mypy"]["mypy_path"]
    assert distribution.package.name in tools["importlinter"]["root_packages"]
    if distribution.folder != root and distribution.name in str(tools["uv"]["sources"]):
        assert tools["uv"]["sources"][distribution.name] == {"workspace": True}


def test_constraints_are_versions_and_nothing_else(root: Path) -> None:
    for line in (root / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9._-]+==[A-Za-z0-9.!+]+( ; [^@:]+)?", line), line


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["mad_prefect_formats", "mad_prefect_storage"])
def test_a_folder_of_projects_is_not_an_import_name(root: Path, folder: str) -> None:
    """Python finds any folder of the current directory as an empty namespace; none of our packages may be in it."""
    for option, module in (("-P", folder), ("-B", f"{folder}.json.plugin"), ("-B", f"{folder}.local.plugin")):
        command = [sys.executable, option, "-c", f"import {module}"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert "ModuleNotFoundError" in done.stderr
    assert not list((root / folder).glob("*.py"))
    assert not list((root / folder).glob("*/*.py"))


# -- wheels ----------------------------------------------------------------------------------------------------------


@pytest.mark.packaging
def test_a_wheel_holds_its_typed_package_whole_and_nothing_else(
    wheels: dict[str, Path], distribution: Distribution
) -> None:
    with zipfile.ZipFile(wheels[distribution.name]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    source = distribution.package.parent
    files = {p.relative_to(source).as_posix() for p in distribution.package.rglob("*") if p.is_file()}
    assert names == {name for name in files if "__pycache__" not in name}
    assert f"{distribution.package.name}/py.typed" in names
