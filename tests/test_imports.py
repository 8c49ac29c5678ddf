"""Hold what import-linter's patterns cannot say: allow-lists, and what a fresh interpreter really loads."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.sources import PACKAGES, ROOT, Source, sources

BOT_MAY = (
    "workers.alerts",
    "workers.config",
    "workers.data",
    "workers.logs",
    "workers.policies",
    "workers.providers.plans",
    "workers.settings",  # the declarations behind workers.config
    "workers.stores",
    "workers.vault",
)
TEAMS_SDK = {"botbuilder", "botframework", "msrest"}
HEAVY = ("boto3", "botocore", "redis", "rq", "bot", "workers")


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def third_party(source: Source) -> set[str]:
    tops = {module.partition(".")[0] for module in source.imports()}
    return tops - set(sys.stdlib_module_names) - set(PACKAGES) - {"__future__"}


def declared(*extras: str) -> set[str]:
    """Return the top-level modules that the distribution brings with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = {Requirement(line).name.lower().replace("_", "-") for line in wanted}
    return {
        module
        for module, distributions in packages_distributions().items()
        if {one.lower().replace("_", "-") for one in distributions} & names
    }


def of_callers(source: Source) -> bool:
    return source.name.startswith("countersign") and not is_in(source.name, ("countersign.ops",))


@pytest.mark.parametrize("source", sources("approvers"), ids=lambda source: source.name)
def test_the_rules_import_the_standard_library_and_pydantic(source: Source) -> None:
    assert third_party(source) <= {"pydantic", "pydantic_core"}
    assert not [module for module in source.imports() if is_in(module, ("bot", "workers", "countersign"))]


@pytest.mark.parametrize("source", sources("approvers"), ids=lambda source: source.name)
def test_the_rules_read_no_clock_no_chance_and_no_environment(source: Source) -> None:
    banned = (
        "time",
        "random",
        "secrets",
        "os",
        "logging",
        "socket",
        "subprocess",
        "asyncio",
        "threading",
        "pathlib",
        "io",
    )
    assert not [module for module in source.imports() if is_in(module, banned)]
    calls = {ast.unparse(node.func) for node in ast.walk(source.tree) if isinstance(node, ast.Call)}
    clocks = {call for call in calls if call.rpartition(".")[2] in {"now", "utcnow", "today"}}
    assert not clocks | (calls & {"open", "print", "input"})


@pytest.mark.parametrize("source", sources("bot"), ids=lambda source: source.name)
def test_the_web_process_imports_little_of_the_workers(source: Source) -> None:
    from_workers = [module for module in source.imports() if is_in(module, ("workers",))]
    assert not [module for module in from_workers if not is_in(module, BOT_MAY)]


@pytest.mark.parametrize("source", [one for one in sources("countersign") if of_callers(one)], ids=lambda one: one.name)
def test_callers_import_no_operator_command(source: Source) -> None:
    """They are loaded by name, when asked."""
    assert not [module for module in source.imports() if is_in(module, ("countersign.ops",))]


def test_each_part_imports_only_what_its_extra_brings() -> None:
    """Whoever installs `countersign` alone gets a client that works; the server needs no demo or developer package."""
    allowed = {
        "approvers": declared(),
        "countersign": declared(),
        "bot": declared("server", "slack", "teams"),
        "workers": declared("server", "aws"),
    }
    allowed["workers"] |= {"botocore"}  # comes with boto3, at the version that boto3 names
    allowed["bot"] |= {"jinja2", "markupsafe", "multidict", "yarl"}  # the vocabulary of aiohttp and aiohttp-jinja2
    allowed["bot"] |= {"botframework", "msrest"}  # come with botbuilder-core, at the versions that it names
    allowed["countersign"] |= {"click", "yarl"}  # typer's and aiohttp's
    comes_along = {"pydantic_core"}  # pydantic pins it exactly
    for source in sources():
        if not is_in(source.name, ("countersign.ops",)):
            extra = third_party(source) - allowed[source.name.partition(".")[0]] - comes_along
            assert not extra, f"{source.name} imports {extra}"


def loaded_by(*modules: str) -> set[str]:
    """Import them in a fresh interpreter and return the top-level names of everything that it then holds."""
    code = "\n".join(
        [
            *(f"import {module}" for module in modules),
            "import sys",
            "print(*{m.partition('.')[0] for m in sys.modules})",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_web_process_loads_no_aws_sdk() -> None:
    assert not loaded_by("bot.app", "bot.__main__") & {"boto3", "botocore"}


def test_the_web_process_loads_no_slack_before_it_is_set_up() -> None:
    """Without the extra `slack`, everything but Slack works."""
    assert not loaded_by("bot.app", "bot.__main__", "bot.postings") & {"slack_bolt", "slack_sdk"}


def test_the_web_process_loads_no_teams_before_it_is_set_up() -> None:
    """Without the extra `teams`, everything but Teams works."""
    assert not loaded_by("bot.app", "bot.__main__", "bot.postings") & TEAMS_SDK


@pytest.mark.parametrize(
    "module",
    ["incoming", "parts", "routes", "api", "card", "surface", "ingress", "dispatch", "proof", "keys", "tokens"],
)
def test_what_teams_is_made_of_needs_no_sdk_of_it(module: str) -> None:
    assert not loaded_by(f"bot.surfaces.teams_{module}") & TEAMS_SDK


def test_slack_and_teams_do_not_know_each_other() -> None:
    for platform, other in (("slack", "teams"), ("teams", "slack")):
        strange = tuple(one.name for one in sources("bot") if one.name.startswith(f"bot.surfaces.{other}"))
        for source in sources("bot"):
            if source.name.startswith(f"bot.surfaces.{platform}"):
                assert not [module for module in source.imports() if is_in(module, strange)], source.name


@pytest.mark.parametrize(
    "module",
    ["slack_incoming", "slack_parts", "slack_blocks", "slack_views", "slack_text", "slack_accounts", "slack_claims"],
)
def test_what_slacks_listeners_are_made_of_needs_no_slack(module: str) -> None:
    assert not loaded_by(f"bot.surfaces.{module}") & {"slack_bolt", "slack_sdk"}


@pytest.mark.parametrize("module", ["countersign", "countersign.client", "countersign.cli", "countersign.run"])
def test_the_client_loads_nothing_of_the_servers(module: str) -> None:
    assert not loaded_by(module) & set(HEAVY)


def test_a_verifier_loads_no_network_and_no_store() -> None:
    """Whoever verifies an export has the export and the key."""
    loaded = loaded_by("countersign.verifying.checks", "countersign.verifying.parting", "countersign.verifying.report")
    assert not loaded & {*HEAVY, "aiohttp", "structlog", "jinja2"}


def test_the_search_for_loaded_modules_works() -> None:
    assert loaded_by("workers.providers.aws", "workers.stores.redis") >= {"boto3", "redis", "workers"}


def test_import_linter_keeps_its_contracts() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
