"""`mad-prefect plugins`: what is installed, what it brings, and what is wrong with it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import RenderableType

from mad_prefect_core.cards import Card
from mad_prefect_core.cli.describe import format_data, plugin_data, storage_data
from mad_prefect_core.cli.doctor import doctor
from mad_prefect_core.cli.new import new
from mad_prefect_core.cli.output import Result, cell, escape, indented, problem, status_of, styled, table
from mad_prefect_core.errors import PluginError
from mad_prefect_core.hookspecs import PLUGIN_API
from mad_prefect_core.plugins import PluginHost, PluginRecord, catalogue, folder_of, get_host, install_hint

__all__ = ["plugins_app"]

plugins_app = App(
    "plugins", help="What is installed, what it brings, what is wrong with it; and a new one to begin with."
)
plugins_app.command(doctor)
plugins_app.command(new)


@plugins_app.command(name="list")
def list_plugins() -> Result:
    """Every plugin that is installed, also those that failed, are blocked, or claim what another claims."""
    host = get_host()
    plugins = [plugin_data(host, record) for record in host.plugins()]
    return Result({"plugin_api": PLUGIN_API, "plugins": plugins}, _listed(plugins))


def _listed(plugins: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    if not plugins:
        yield f"No plugin is installed. {escape(install_hint('mad_prefect_formats/*', 'mad_prefect_storage/local'))}"
        return
    yield table(
        ("plugin", "distribution", "status", "brings"),
        (
            (
                escape(plugin["name"]),
                escape(f"{plugin['distribution']} {plugin['version']}"),
                status_of(plugin["status"]),
                escape(_brings(plugin)),
            )
            for plugin in plugins
        ),
    )
    yield from _problems(plugins)


def _problems(plugins: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    # Both sides of a conflict say the same of it.
    for message in dict.fromkeys(
        (found["where"], found["message"], found["hint"]) for plugin in plugins for found in plugin["problems"]
    ):
        yield problem(*message)


def _brings(plugin: dict[str, Any]) -> str:
    names = [name for format in plugin["formats"] for name in format["suffixes"]]
    names += [f"{name}://" for storage in plugin["storages"] for name in storage["protocols"]]
    return " ".join([*names, *_other_hooks(plugin)])


def _other_hooks(plugin: dict[str, Any]) -> list[str]:
    """The hooks that bring no format and no storage."""
    return [name for name in plugin["hooks"] if name not in ("mad_prefect_formats", "mad_prefect_storages")]


@plugins_app.command
def show(
    name: Annotated[str, Parameter(help="A plugin, its distribution, a format, a suffix or a protocol.")], /
) -> Result:
    """What a plugin brings, what that can do, and which options it takes."""
    host = get_host()
    plugins = [_whole(host, record) for record in _named(host, name)]
    return Result({"plugin_api": PLUGIN_API, "plugins": plugins}, _shown(plugins))


def _named(host: PluginHost, name: str) -> list[PluginRecord]:
    """The plugins that a name means: by their own names, or else by those of what they bring."""
    wanted = name.lower().removesuffix("://").lstrip(".")
    names: dict[str, list[PluginRecord]] = {}
    for record in host.plugins():
        for own in dict.fromkeys((record.name.lower(), record.distribution.lower())):
            names.setdefault(own, []).append(record)
    if wanted in names:
        return names[wanted]
    for record in host.plugins():
        formats, storages = host.brought(record)
        brought = {name for format in formats for name in (format.name, *format.suffixes)}
        brought |= {name for storage in storages for name in (storage.name, *storage.protocols)}
        for own in {name.lower().lstrip(".") for name in brought}:
            names.setdefault(own, []).append(record)
    if wanted in names:
        return names[wanted]
    bringers = {name: bringer for table in catalogue().values() for name, bringer in table.items()}
    near = difflib.get_close_matches(wanted, sorted({*names, *bringers}), 1)
    if bringer := bringers.get(wanted):
        hint = install_hint(folder_of(bringer))
    else:
        hint = f"Did you mean {near[0]!r}?" if near else "`mad-prefect plugins list` says what there is."
    raise PluginError(
        f"No installed plugin is called {name!r}, or brings a format, suffix or protocol of that name", hint=hint
    )


def _whole(host: PluginHost, record: PluginRecord) -> dict[str, Any]:
    formats, storages = host.brought(record)
    return {
        **plugin_data(host, record),
        "formats": [format_data(format) for format in formats],
        "storages": [storage_data(storage) for storage in storages],
        "card": _card(record),
    }


def _card(record: PluginRecord) -> dict[str, Any] | None:
    """The capability card that the plugin's package ships, if it is of the installed version and this core reads it."""
    if record.status != "loaded":
        return None
    try:
        text = files(record.package).joinpath("capability_card.json").read_text("utf-8")
        card = Card.from_json(text)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if card.version != record.version:  # that of another release says nothing of this one
        return None
    return {**json.loads(text), "headline": card.headline}


def _shown(plugins: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    for plugin in plugins:
        yield (
            f"{styled(plugin['name'], 'bold')} of {escape(plugin['distribution'])} {escape(plugin['version'])} "
            f"({escape(plugin['module'])}): {status_of(plugin['status'])}"
        )
        for hook in _other_hooks(plugin):
            yield f"hook {escape(hook)}"
        for format in plugin["formats"]:
            yield from _section(f"format {format['name']}", format["suffixes"], format["capabilities"])
            yield from _options("read options", format["read_options"])
            yield from _options("write options", format["write_options"])
        for storage in plugin["storages"]:
            yield from _section(
                f"storage {storage['name']}", (f"{p}://" for p in storage["protocols"]), storage["capabilities"]
            )
            yield from _options("options", storage["options"])
        if card := plugin["card"]:
            yield f"\n{styled('capability card', 'bold')} {escape(card['headline'])}"
    yield from _problems(plugins)


def _section(title: str, serves: Iterable[str], capabilities: dict[str, Any]) -> Iterator[RenderableType]:
    yield f"\n{styled(title, 'bold')} {escape(' '.join(serves))}\n"
    yield indented(table(("capability", ""), ((name, cell(value)) for name, value in capabilities.items())))


def _options(title: str, options: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    yield f"\n  {styled(title, 'bold')}{'' if options else ': none'}"
    for option in options:
        yield indented(f"  {styled(option['name'], 'cyan')}: {escape(_type_and_default(option))}")
        if option["description"]:
            yield indented(indented(indented(escape(option["description"]))))


def _type_and_default(option: dict[str, Any]) -> str:
    default = option["default"]
    if option["required"]:
        return f"{option['type']}, required"
    if default is None:
        return str(option["type"])
    return f"{option['type']} = {json.dumps(default, ensure_ascii=False)}"
