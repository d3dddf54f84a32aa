"""Every file and folder that a guide names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = re.compile(r"(?<![\w/.*-])(?:\w[\w-]*/)*\w[\w-]*\.(?:py|md|html|css|js|toml|yml|po|png)(?![\w/])")
FOLDER = re.compile(r"`((?:\w[\w-]*/)+)`")
# The example of README.md, and a folder that is made at the first start.
MADE_LATER = {"maintenance/management/commands/cleanup_drafts.py", "var/", "var/run/"}


def repository() -> set[str]:
    ignored = {".git", ".venv", "var"}
    return {
        path.relative_to(ROOT).as_posix()
        for top in ROOT.iterdir()
        if top.name not in ignored
        for path in (top.rglob("*") if top.is_dir() else [top])
        if path.is_file()
    }


def missing(text: str, files: set[str]) -> list[str]:
    """A name from a top folder must be there; a shorter one, as diagrams have it, must end some file's path."""
    top = {file.partition("/")[0] for file in files}

    def exists(name: str) -> bool:
        if name in files or (name.partition("/")[0] in top and "/" in name):
            return name in files
        return any(file.endswith(f"/{name}") for file in files)

    folders = {folder for folder in FOLDER.findall(text) if not (ROOT / folder).is_dir()}
    return sorted(({name for name in NAMED.findall(text) if not exists(name)} | folders) - MADE_LATER)


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_every_path_that_a_guide_names_exists(guide):
    assert missing(guide.read_text(), repository()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "`maintenance/gone.py`",
        "gone.py ─► cap.py",
        "[here](docs/gone.md)",
        "`maintenance/gone/`",
        "`jobs/cap.py`",
    ],
)
def test_a_path_that_is_gone_is_found(text):
    assert missing(text, repository())


@pytest.mark.parametrize(
    ("question", "proof"),
    [
        ("become MISSED", "def classify\\("),
        ("batch of a purge commit", "transaction.atomic\\("),
        ("429 handled", "429"),
        ("who may see a session", "def sees_everybodys\\("),
        ("a cancel noticed", '"cancel_requested_at"'),
        ("dashboard's figures", "def [a-z_]*figures|class Figures|Counter"),
        ("a mail sent", "mail.send\\("),
        ("who changed what", "def record\\("),
    ],
)
def test_the_file_that_answers_a_question_does_what_the_guide_says(question, proof):
    (row,) = [
        line
        for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines()
        if question in line and line[0] == "|"
    ]
    file = next(name for name in NAMED.findall(row) if (ROOT / name).is_file())
    assert re.search(proof, (ROOT / file).read_text())


def test_the_index_names_every_decision_with_its_title():
    folder = ROOT / "docs/adr"
    titles = {
        file.name: file.read_text().partition("\n")[0].partition(". ")[2] for file in folder.glob("0*.md")
    }
    listed = re.findall(r"^- \[\d+\]\((.+?)\) (.+)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert dict(listed) == titles
