"""No floor of the house names a floor above it: not in an import, and not in a string or a template either."""

import ast
import re
import tomllib

import pytest
from django.conf import settings

from tests.sizes import packages

ROOT = settings.BASE_DIR
# The one layers contract of pyproject.toml that orders the top-level packages, from the top.
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
FLOORS = [[name.strip() for name in re.split("[|:]", layer)] for layer in CONTRACT["contracts"][0]["layers"]]
# What a package's templates are called, where the folder has another name.
FOLDERS = {"account": "accounts", "mfa": "accounts", "admin": "console"}

# Paths of Reddit's API, not of ours.
REDDITS = {"api/info/", "api/morechildren/"}


def floors_above(package):
    """The packages above this one."""
    level = next(number for number, floor in enumerate(FLOORS) if package in floor)
    return [name for floor in FLOORS[:level] for name in floor]


def pattern(package):
    """What names a package above: a URL, a template, a model or permission, a path of a module."""
    above = "|".join(floors_above(package))
    return re.compile(rf"^(?:admin:)?(?:{above})[_./]|^templates/(?:{above})/") if above else None


def strings(tree):
    """The strings of a module that are no docstrings, and the look-ups written as keywords."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


def names_in_source(package, file):
    found, upward = pattern(package), package == "scraping"
    for text in strings(ast.parse(file.read_text())):
        # A run belongs to maintenance: scraping may keep its key, and not look into it.
        if (found and found.search(text) and text not in REDDITS) or (upward and text.startswith("run__")):
            yield text


def names_in_template(package, file):
    found = pattern(package)
    for text in re.findall(r"""["']([^"'\s]+)["']|\bperms\.([a-z_.]+)""", file.read_text()):
        if found and any(found.search(part) for part in text):
            yield "".join(text)


def offenders():
    found = {}
    for package in (name for floor in FLOORS for name in floor):
        for file in (ROOT / package).rglob("*.py"):
            if "migrations" not in file.parts:
                found[str(file.relative_to(ROOT))] = sorted(set(names_in_source(package, file)))
    for folder in (ROOT / "templates").iterdir():
        package = FOLDERS.get(folder.name, folder.name)
        for file in folder.rglob("*.html"):
            found[str(file.relative_to(ROOT))] = sorted(set(names_in_template(package, file)))
    return {name: texts for name, texts in found.items() if texts}


def test_import_linter_is_told_of_every_top_level_package():
    names = {package.name for package in packages()}

    assert set(CONTRACT["root_packages"]) == names
    assert {name for floor in FLOORS for name in floor} == names


@pytest.mark.slow
def test_no_floor_names_one_above_it_in_a_string_or_a_template():
    assert offenders() == {}


@pytest.mark.parametrize(
    "package", sorted({file.parent for file in ROOT.glob("*/models/__init__.py")}, key=str)
)
def test_models_import_each_other_by_module_and_not_by_their_package(package):
    name = ".".join(package.relative_to(ROOT).parts)
    found = [
        f"{file.name}: {node.module}"
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == name
        if not all((package / f"{alias.name}.py").exists() for alias in node.names)
    ]

    assert found == []
