"""Every index and constraint is named, and an index says which query reads it."""

import ast
import inspect

import pytest

from tests.test_constraints import MODELS


def declared_indexes():
    """Each ``models.Index(…)`` in a models.py: its keywords and the line above it."""
    for module in {inspect.getmodule(model) for model in MODELS}:
        source = inspect.getsource(module)
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "models.Index":
                yield (
                    {keyword.arg: keyword.value for keyword in node.keywords},
                    lines[node.lineno - 2].strip(),
                )


def test_every_index_says_which_query_reads_it():
    silent = [ast.unparse(keywords["fields"]) for keywords, above in declared_indexes() if above[:2] != "# "]

    assert silent == []


@pytest.mark.slow
def test_every_index_is_named_where_it_is_declared():
    names = [getattr(keywords.get("name"), "value", None) for keywords, _ in declared_indexes()]

    assert sorted(names, key=str) == sorted(index.name for model in MODELS for index in model._meta.indexes)


def test_names_begin_with_their_model_and_are_never_used_twice():
    names = []
    for model in MODELS:
        # The one exception has a name too long for the 30 characters that Django allows an index.
        prefix = model._meta.model_name.replace("passwordresettoken", "passwordreset")
        own = [part.name for part in (*model._meta.constraints, *model._meta.indexes)]
        assert all(name.startswith(f"{prefix}_") for name in own), own
        names += own

    assert len(names) == len(set(names))


def test_nothing_is_declared_the_old_way_without_a_name():
    assert [model for model in MODELS if model._meta.unique_together] == []
