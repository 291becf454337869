"""What we use of Hydra's and OmegaConf's insides does what we use it for, with the Hydra that is installed."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from tests.support import App, app_in
from vertex_sweeper.errors import UnsupportedHydra
from vertex_sweeper.space import hydra_api, omegaconf_api

OLD = hydra_api.is_hydra_1_3()
CONFIGS = {
    "config": "defaults: [{model: cnn}, {db@backup: small}, _self_, {override model: vit}]\nlr: 1\n",
    "model/cnn": "depth: 1\n",
    "model/vit": "# @package net\ndepth: 2\n",
    "db/small": "size: 1\n",
    "aliased": "hydra:\n  aliases: {rate: lr}\nlr: 1\n",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("app"), CONFIGS) as app:
        yield app


def test_config_repository_finds_groups_on_the_search_path(app: App, tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "one.yaml").write_text("a: 1\n", encoding="utf-8")
    repository = hydra_api.config_repository(app.loader, "config", [f"hydra.searchpath=[file://{tmp_path}]"])
    assert repository.group_exists("extra")
    assert repository.config_exists("model/cnn")
    found = repository.load_config("model/vit")
    assert (found.config.depth, found.header["package"], found.defaults_list, found.provider) == (2, "net", [], "main")
    assert not hydra_api.config_repository(app.loader, "config", []).group_exists("extra")


def test_overridden_groups_are_those_of_the_primary_config(app: App) -> None:
    assert hydra_api.overridden_groups(app.loader, "config") == ["model"]
    assert hydra_api.overridden_groups(app.loader, "model/cnn") == []
    assert hydra_api.overridden_groups(app.loader, None) == []


@pytest.mark.parametrize(
    "loader",
    [
        types.SimpleNamespace(),
        types.SimpleNamespace(repository=types.SimpleNamespace(load_config=lambda _: types.SimpleNamespace())),
        types.SimpleNamespace(
            repository=types.SimpleNamespace(load_config=lambda _: types.SimpleNamespace(defaults_list=[object()]))
        ),
    ],
    ids=["repository", "defaults_list", "is_override"],
)
def test_a_hydra_that_renames_the_defaults_list_is_not_supported(loader: Any, request: pytest.FixtureRequest) -> None:
    with pytest.raises(UnsupportedHydra, match=rf"has no \w+\.{request.node.callspec.id}, which is needed for finding the gro"):
        hydra_api.overridden_groups(loader, "config")


def test_chosen_options_have_path_key_and_package(app: App) -> None:
    options, groups = hydra_api.chosen_options(app.loader, "config", ["model=cnn"])
    assert hydra_api.Option("model/cnn", "model", "model") in options
    assert hydra_api.Option("db/small", "db@backup", "backup") in options
    assert {"model", "db@backup"} <= set(groups)
    (vit,) = [option for option in hydra_api.chosen_options(app.loader, "config", [])[0] if option.path == "model/vit"]
    assert vit.package == "net"


@pytest.mark.skipif(OLD, reason="Hydra 1.3 has no aliases")
def test_alias_expander_reads_the_aliases_of_the_primary_config(app: App) -> None:
    assert hydra_api.alias_expander(app.loader, "aliased")("rate=2") == "lr=2"
    assert hydra_api.alias_expander(app.loader, "config")("rate=2") == "rate=2"
    with pytest.raises(UnsupportedHydra, match=r"get_override_aliases, which is needed for expanding hydra\.aliases"):
        hydra_api.alias_expander(types.SimpleNamespace(), "config")  # type: ignore[arg-type]


@pytest.mark.skipif(not OLD, reason="Hydra 1.4 has aliases")
def test_alias_expander_of_hydra_1_3_changes_nothing(app: App) -> None:
    assert hydra_api.alias_expander(app.loader, "aliased")("rate=2") == "rate=2"


def parse(line: str) -> hydra_api.Override:
    return hydra_api.OverridesParser.create().parse_override(line)


@pytest.mark.skipif(OLD, reason="Hydra 1.3 has no brackets in keys")
def test_is_value_path_tells_brackets() -> None:
    assert hydra_api.is_value_path(parse("a[b]=1"))
    assert not hydra_api.is_value_path(parse("a.b=1"))
    with pytest.raises(UnsupportedHydra, match=r"is_value_path"):
        hydra_api.is_value_path(types.SimpleNamespace())  # type: ignore[arg-type]


def test_range_casts_tells_a_range_of_floats() -> None:
    plain, cast = parse("a=range(1,4)").value(), parse("a=float(range(1,4))").value()
    assert isinstance(plain, hydra_api.RangeSweep)
    assert not hydra_api.range_casts(plain)
    whole = isinstance(cast, hydra_api.RangeSweep) and type(cast.start) is int and not hydra_api.range_casts(cast)
    assert not whole, "a range of floats is read as one of whole numbers"


def test_override_with_groups_lets_glob_list_the_options(app: App) -> None:
    override = hydra_api.override_with_groups(hydra_api.OverridesParser.create(), "model=glob(*)", app.loader)
    assert override.value_type is hydra_api.ValueType.GLOB_CHOICE_SWEEP
    assert list(override.sweep_iterator()) == ["cnn", "vit"]


def test_overrides_have_the_parts_that_are_read() -> None:
    override = parse("+a@b.c=choice(1,2)")
    assert (override.key_or_group, override.package, override.input_line) == ("a", "b.c", "+a@b.c=choice(1,2)")
    assert override.get_key_element() == "+a@b.c"
    assert (override.is_add(), override.is_force_add(), override.is_delete()) == (True, False, False)
    assert (override.is_sweep_override(), override.is_discrete_sweep(), override.is_choice_sweep()) == (True, True, True)
    assert list(override.sweep_iterator()) == [1, 2]
    assert parse("a=1").type is hydra_api.OverrideType.CHANGE
    assert parse("~a").is_delete()
    assert parse("hydra.mode=RUN").is_hydra_override()
    assert (parse("a=true").get_value_element_as_str(), parse("a=1.10").get_value_string()) == ("True", "1.10")


def test_sweeps_have_the_parts_that_are_read() -> None:
    interval = parse("a=tag(log,interval(1,2))").value()
    assert isinstance(interval, hydra_api.IntervalSweep)
    assert (interval.start, interval.end, interval.tags) == (1, 2, {"log"})
    choice = parse("a=1,2").value()
    assert isinstance(choice, hydra_api.ChoiceSweep)
    assert (choice.simple_form, choice.list) == (True, [1, 2])
    found = parse("a=range(1,4)").value()
    assert isinstance(found, hydra_api.RangeSweep)
    assert (found.start, found.stop, found.step, found.range()) == (1, 4, 1, range(1, 4))
    assert isinstance(parse("a=glob(*)").value(), hydra_api.Glob)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        (None, "null"),
        (hydra_api.QuotedString("a b", hydra_api.Quote.single), "'a b'"),
        ({"a": [1, True]}, "{a:[1,True]}"),
    ],
)
def test_override_text_is_read_back(value: Any, text: str) -> None:
    assert hydra_api.override_text(value) == text
    assert repr(parse(f"x={text}").value()) == repr("a b" if isinstance(value, hydra_api.QuotedString) else value)


def test_argument_parser_knows_each_spelling_of_a_flag() -> None:
    parsed, others = hydra_api.argument_parser().parse_known_args(["-cn", "a", "--config-dir=b", "-m", "lr=1"])
    assert (parsed.config_name, parsed.config_dir, parsed.multirun, parsed.overrides, others) == ("a", "b", True, ["lr=1"], [])


def test_execution_whitelist_is_that_of_the_context() -> None:
    given: Any = types.SimpleNamespace(execution_whitelist=["a"])
    assert hydra_api.execution_whitelist(given) == (None if OLD else ["a"])
    if not OLD:
        with pytest.raises(UnsupportedHydra, match=r"execution_whitelist"):
            hydra_api.execution_whitelist(types.SimpleNamespace())  # type: ignore[arg-type]


def test_using_hydra_config_puts_the_config_of_before_back(app: App) -> None:
    config = app.loader.load_configuration("config", [], RunMode.RUN)
    before = HydraConfig.instance().cfg
    with hydra_api.using_hydra_config(config):
        assert HydraConfig.get().job.name == config.hydra.job.name
    assert HydraConfig.instance().cfg is before


# OmegaConf.


@pytest.fixture
def config() -> DictConfig:
    return OmegaConf.create(
        {"a": "${b}", "b": 1, "null": None, "missing": "???", "list": [1, "${b}"], "dict": {"c": "${a}"}, "gone": "${none}"}
    )


def test_nodes_tell_what_is_written_in_them(config: DictConfig) -> None:
    node_at = omegaconf_api.node_at
    assert [key for key in config if omegaconf_api.is_null(node_at(config, key))] == ["null"]
    assert [key for key in config if omegaconf_api.is_missing(node_at(config, key))] == ["missing"]
    assert [key for key in config if omegaconf_api.is_interpolation(node_at(config, key))] == ["a", "gone"]
    assert [key for key in config if omegaconf_api.is_open(node_at(config, key))] == ["list", "dict"]
    assert omegaconf_api.raw_value(node_at(config, "a")) == "${b}"
    assert omegaconf_api.as_written(node_at(config, "dict")) == {"c": "${a}"}
    assert omegaconf_api.as_written(node_at(config, "null")) is None
    assert node_at(config, "other") is None
    assert node_at(OmegaConf.structured(DictConfig({"x": 1}, flags={"struct": True})), "other") is None


def test_null_missing_and_interpolated_containers_are_not_open() -> None:
    assert not any(omegaconf_api.is_open(DictConfig(content)) for content in (None, "???", "${a}"))
    assert omegaconf_api.is_open(ListConfig([]))
    assert not omegaconf_api.is_open(AnyNode(1))


def test_children_are_nodes(config: DictConfig) -> None:
    assert list(omegaconf_api.children(config)) == list(config)
    assert [type(node) for node in omegaconf_api.children(config["list"])] == [AnyNode, AnyNode]
    child = omegaconf_api.child(config, "dict")
    assert (omegaconf_api.parent_of(child), omegaconf_api.key_in_parent(child)) == (config, "dict")
    assert omegaconf_api.parent_of(config) is None


def test_a_child_is_put_past_the_checks(config: DictConfig) -> None:
    OmegaConf.set_struct(config, value=True)
    omegaconf_api.put_child(config, "new", AnyNode("x", key="new", parent=config))
    assert config.new == "x"


def test_an_interpolation_leads_to_a_node(config: DictConfig) -> None:
    assert omegaconf_api.dereferenced(omegaconf_api.child(config, "a")) is omegaconf_api.child(config, "b")
    assert omegaconf_api.dereferenced_or_none(omegaconf_api.child(config, "gone")) is None
    with pytest.raises(InterpolationKeyError):
        omegaconf_api.dereferenced(omegaconf_api.child(config, "gone"))


def test_split_key_is_how_omegaconf_reads_a_key() -> None:
    assert omegaconf_api.split_key("a.b[c].d") == ["a", "b", "c", "d"]


def test_resolvers_answer_for_a_while_and_those_of_before_again() -> None:
    config = OmegaConf.create({"a": "${hydra_api_before:x}", "b": "${hydra_api_new:x}", "c": "${oc.env:NONE,d}"})
    resolvers = {
        "hydra_api_before": lambda before: lambda *given: f"now {before(*given)}",
        "hydra_api_new": lambda before: lambda *given: (before, *given[3]),
        "oc.env": lambda _: None,
    }
    with omegaconf_api.using_resolvers({"hydra_api_before": lambda _: lambda *given: f"before {given[3][0]}"}):
        with omegaconf_api.using_resolvers(resolvers):
            assert (config.a, config.b, config.c) == ("now before x", (None, "x"), "d")
        assert config.a == "before x"
        assert not OmegaConf.has_resolver("hydra_api_new")
    assert not OmegaConf.has_resolver("hydra_api_before")
    assert config.c == "d"


def test_the_runtime_and_the_plugin_find_what_they_use() -> None:
    """Neither can import the engine, so they name these by themselves: the table in `tests/test_project.py` lists them."""
    from hydra.core.utils import JobReturn

    made: Any = JobReturn
    assert made(_return_value=1)._return_value == 1
    node = OmegaConf.create({"a": "${b}"})._get_node("a")
    assert isinstance(node, AnyNode)
    assert node._value() == "${b}"
    for name in ("_set_value", "_get_parent", "_deepcopy_impl"):
        assert callable(getattr(node, name)), name
