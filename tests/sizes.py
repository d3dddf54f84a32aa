"""No file, function or template line grows past what a reader holds; `make lint` calls this."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES, FUNCTION_LINES, TEMPLATE_COLUMNS = 400, 50, 120


def packages() -> list[Path]:
    """Return the top-level packages."""
    return sorted(file.parent for file in ROOT.glob("*/__init__.py"))


def sources() -> list[Path]:
    files = [file for package in packages() for file in package.rglob("*.py")]
    return [ROOT / "manage.py", *(file for file in files if "migrations" not in file.parts)]


def templates() -> list[Path]:
    return [
        file for file in ROOT.glob("*/**/*.html") if file.relative_to(ROOT).parts[0] not in (".venv", "var")
    ]


def faults_of_source(file: Path) -> list[str]:
    text = file.read_text()
    lines = len(text.splitlines())
    faults = [f"{lines} lines"] if lines > FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                faults.append(f"{node.name}() has {lines} lines")
    return faults


def faults_of_template(file: Path) -> list[str]:
    lines = enumerate(file.read_text().splitlines(), start=1)
    return [
        f"line {number} has {len(line)} characters" for number, line in lines if len(line) > TEMPLATE_COLUMNS
    ]


def test_no_file_is_too_large_to_read() -> None:
    found = {file: faults_of_source(file) for file in sources()}
    found |= {file: faults_of_template(file) for file in templates()}
    faulty = {str(file.relative_to(ROOT)): faults for file, faults in found.items() if faults}

    assert faulty == {}
