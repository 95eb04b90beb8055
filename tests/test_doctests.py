"""The examples in docstrings run, and print what they say."""

import ast
import doctest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"


def docstrings(path: Path) -> Iterator[tuple[str, int, str]]:
    """Name, line and text of every docstring in a file.

    They are read from the source: doctest's own search misses functions that jaxtyping wraps.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if text := ast.get_docstring(node):
            yield getattr(node, "name", path.stem), node.body[0].lineno - 1, text


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


WITH_EXAMPLES = {
    module_name(path): path
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
}


@pytest.mark.usefixtures("own_recipes")
@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module_print_what_they_say(module, tmp_path, monkeypatch):
    path = WITH_EXAMPLES[module]
    variables = vars(import_module(module))
    monkeypatch.chdir(tmp_path)
    runner, output = doctest.DocTestRunner(verbose=False), list[str]()
    for name, line, text in docstrings(path):
        test = doctest.DocTestParser().get_doctest(text, variables.copy(), name, str(path), line)
        runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)
    assert runner.tries == path.read_text(encoding="utf-8").count(">>> ")


def test_there_are_examples():
    assert len(WITH_EXAMPLES) > 30
