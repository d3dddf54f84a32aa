"""Exports: their content, their formats, their commands."""

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet
import pytest
from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scraping.content import export
from scraping.models import ContentState, RedditComment, RedditPost
from tests.kit import factories
from tests.scraping.content.exports import lines, sighting, titles

pytestmark = pytest.mark.django_db


def exported(rows, suffix="jsonl"):
    return b"".join(export.export(rows, format=suffix, by=None))


@pytest.mark.slow
@pytest.mark.parametrize("state", [state for state in ContentState if state != ContentState.LIVE])
@pytest.mark.parametrize("suffix", export.Format)
def test_content_deleted_on_reddit_is_never_exported(state, suffix):
    factories.post(title="secretgone", author="secretauthor", state=state)
    comment = factories.comment(body="secretgone", state=state, post=factories.post(title="kept post"))

    assert b"secret" not in exported(RedditPost.objects.all(), suffix)
    assert b"secret" not in exported(RedditComment.objects.all(), suffix)
    assert exported(RedditComment.objects.filter(pk=comment.pk)) == b""
    assert titles(exported(RedditPost.objects.all())) == ["kept post"]


def test_content_blanked_during_an_export_is_not_exported(monkeypatch):
    monkeypatch.setattr(export, "CHUNK_ROWS", 2)
    posts = [factories.post(title=f"p{number}") for number in range(5)]
    pieces = export.export(RedditPost.objects.all(), format="jsonl", by=None)

    first = next(pieces)
    RedditPost.objects.filter(pk=posts[3].pk).update(state=ContentState.DELETED_BY_AUTHOR, title="")

    assert titles(first + b"".join(pieces)) == ["p0", "p1", "p2", "p4"]


def test_no_internal_column_is_exported():
    post = factories.post(hold_reason="evidence", held_at=timezone.now(), missing_count=1)

    (line,) = lines(exported(RedditPost.objects.all()))

    assert line["fullname"] == post.fullname
    assert not line.keys() & {
        "id",
        "session",
        "session_id",
        "hold_reason",
        "held_at",
        "held_by",
        "checked_at",
    }
    assert "evidence" not in json.dumps(line)


def test_a_comment_is_exported_with_its_post_and_parent():
    comment = factories.comment(post=factories.post(subreddit="flask"))

    (line,) = lines(exported(RedditComment.objects.all()))

    assert (line["fullname"], line["post_fullname"]) == (comment.fullname, comment.post.fullname)
    assert line["subreddit"] == "flask"


def test_an_export_reads_chunk_by_chunk_and_begins_at_once(monkeypatch):
    monkeypatch.setattr(export, "CHUNK_ROWS", 10)
    RedditPost.objects.bulk_create(factories.unsaved_post() for _ in range(35))
    pieces = export.export(RedditPost.objects.all(), format="jsonl", by=None)

    with CaptureQueriesContext(connection) as queries:
        first = next(pieces)
    assert (len(lines(first)), len(queries)) == (10, 1)
    with CaptureQueriesContext(connection) as queries:
        rest = b"".join(pieces)
    assert (len(lines(rest)), len(queries)) == (25, 4)


MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
ODD = {
    "title": 'comma, "quote"\nline\r 中文 😀',
    "body": "",
    "media": {"a": ["é", None, 1.5]},
    "score": -3,
    "upvote_ratio": None,
    "is_self": True,
    "created_at": MOMENT,
    "edited_at": None,
}


def test_json_lines_give_back_every_value():
    factories.post(**ODD)

    (line,) = lines(exported(RedditPost.objects.all()))

    assert {name: line[name] for name in ODD} == ODD | {"created_at": "2026-01-02T03:04:05.000678Z"}


def test_csv_gives_back_every_value_as_text():
    factories.post(**ODD)

    text = exported(RedditPost.objects.all(), "csv").decode()

    head, row = csv.reader(io.StringIO(text, newline=""))
    cells = dict(zip(head, row, strict=True))
    assert cells["title"] == ODD["title"]
    assert json.loads(cells["media"]) == ODD["media"]
    assert (cells["score"], cells["upvote_ratio"], cells["is_self"], cells["edited_at"]) == (
        "-3",
        "",
        "true",
        "",
    )
    assert cells["created_at"] == "2026-01-02T03:04:05.000678Z"


def in_excel(rows, tally=None):
    """Return the rows of the Excel format as a spreadsheet reads them."""
    data = b"".join(export.export(rows, format="excel", by=None, tally=tally))
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", *"＝＋－＠"])  # full-width, as meant
def test_a_spreadsheet_reads_no_text_as_a_formula(start):
    attack = f"{start}cmd|'/c calc'!A1"
    factories.post(title=attack, author=attack, flair=attack)

    (cells,) = in_excel(RedditPost.objects.all())

    assert {cells[name] for name in ("title", "author", "flair")} == {f"'{attack}".replace("\r", "\n")}
    # Programs read back the stored values.
    assert titles(exported(RedditPost.objects.all())) == [attack]
    text = exported(RedditPost.objects.all(), "csv").decode()
    assert next(csv.DictReader(io.StringIO(text, newline="")))["title"] == attack


def test_a_formula_hidden_behind_a_refused_character_is_guarded_too():
    factories.post(title="\x01=1+1")

    assert in_excel(RedditPost.objects.all())[0]["title"] == "'=1+1"


@pytest.mark.parametrize("text", ["x" * 32_768, "中" * 40_000, "😀" * 16_384, "=" * 32_767])
def test_a_text_longer_than_a_cell_is_cut_marked_and_counted(text):
    factories.post(title="short", body="y" * 32_767)
    factories.post(title="long", body=text)
    tally = export.Tally()

    short, long = in_excel(RedditPost.objects.all(), tally)

    assert short["body"] == "y" * 32_767
    assert len(long["body"].encode("utf-16-le")) // 2 <= 32_767
    cut = len(text) + text.startswith("=")
    assert long["body"].endswith(f" … [cut: {cut:,} characters]")
    assert long["body"][1:100] == text[1:100] or text.startswith("=")
    assert (tally.rows, tally.cells_cut) == (2, 1)
    plain = exported(RedditPost.objects.filter(title="long"), "csv").decode()
    csv.field_size_limit(10**6)
    assert next(csv.DictReader(io.StringIO(plain, newline="")))["body"] == text


def test_characters_that_spreadsheets_refuse_are_left_out():
    body = "a\x01b\x0bc\ufffed\ttab\r\nline\rline 😀中\u202e"
    factories.post(body=body)

    assert in_excel(RedditPost.objects.all())[0]["body"] == "abcd\ttab\nline\nline 😀中\u202e"


def test_parquet_gives_back_every_value_in_its_type(monkeypatch):
    monkeypatch.setattr(export, "CHUNK_ROWS", 2)
    monkeypatch.setattr(export, "ROW_GROUP_ROWS", 4)
    factories.post(**ODD)
    RedditPost.objects.bulk_create(factories.unsaved_post() for _ in range(8))

    file = pyarrow.parquet.ParquetFile(io.BytesIO(exported(RedditPost.objects.all(), "parquet")))

    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 1]
    first = file.read().to_pylist()[0]
    assert json.loads(first["media"]) == ODD["media"]
    assert {name: first[name] for name in ODD if name != "media"} == {
        name: value for name, value in ODD.items() if name != "media"
    }


@pytest.mark.parametrize("suffix", export.Format)
@pytest.mark.parametrize("model", [RedditPost, RedditComment])
def test_an_empty_export_is_a_whole_file(suffix, model):
    data = exported(model.objects.none(), suffix)

    if suffix == export.Format.PARQUET:
        assert pyarrow.parquet.read_table(io.BytesIO(data)).column_names == list(export.COLUMNS[model])
    else:
        head = (",".join(export.COLUMNS[model]) + "\r\n").encode()
        assert data == {"csv": head, "excel": b"\xef\xbb\xbf" + head, "jsonl": b""}[suffix]


def test_without_pyarrow_the_error_says_what_to_install(without_pyarrow):
    with pytest.raises(export.FormatUnavailable, match=r"requirements/parquet\.txt"):
        export.export(RedditPost.objects.all(), format="parquet", by=None)


def test_a_person_without_the_permission_gets_no_export():
    factories.post()
    for user in (factories.user("scraping.view_redditpost"), factories.user("scraping.export_redditcomment")):
        with pytest.raises(PermissionDenied):
            export.export(RedditPost.objects.all(), format="csv", by=user)
    may = factories.user("scraping.export_redditpost")
    assert b"".join(export.export(RedditPost.objects.all(), format="csv", by=may))


def test_a_command_writes_a_file_of_the_format_its_name_says(tmp_path):
    factories.post(title="mine")

    call_command("export_posts", output=str(tmp_path / "posts.jsonl"))
    call_command("export_comments", output=str(tmp_path / "comments.parquet"))

    assert titles((tmp_path / "posts.jsonl").read_bytes()) == ["mine"]
    assert pyarrow.parquet.read_table(tmp_path / "comments.parquet").num_rows == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["comments.parquet", "posts.jsonl"]


def test_a_command_selects_by_subreddit_time_and_bot(tmp_path):
    config = factories.bot_config(name="News")
    at = datetime(2026, 1, 31, tzinfo=UTC)
    cases: dict[str, dict[str, Any]] = {
        "wanted": {},
        "elsewhere": {"subreddit": "java"},
        "too old": {"created_at": at - timedelta(microseconds=1)},
        "too new": {"created_at": at + timedelta(days=1)},
        "not by the bot": {"config": None},
    }
    for name, fields in cases.items():
        post = factories.post(
            **{"title": name, "subreddit": "Python", "created_at": at, "config": config, **fields}
        )
        if name != "not by the bot":
            sighting(post, config)
        factories.comment(post=post, body=name, created_at=post.created_at)
    selection = {
        "subreddit": ["r/python", "flask"],
        "since": "2026-01-31T00:00Z",
        "until": "2026-02-01T00:00Z",
    }
    for kind, column in (("posts", "title"), ("comments", "body")):
        file = tmp_path / f"{kind}.jsonl"
        call_command(f"export_{kind}", output=str(file), config="News", **selection)
        assert [line[column] for line in lines(file.read_bytes())] == ["wanted"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"since": "yesterday"}, "--since: 'yesterday' is no time"),
        ({"until": "2026-13-01"}, "--until: '2026-13-01' is no time"),
        ({"since": "0001-01-01"}, "--since: '0001-01-01' is no time"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "--since must be before --until"),
        ({"config": "nobody"}, "--config: There is no bot nobody"),
    ],
)
def test_wrong_usage_names_the_option_and_exits_with_2(options, words):
    with pytest.raises(CommandError, match=words) as caught:
        call_command("export_posts", **options)
    assert caught.value.returncode == 2


def test_a_failing_export_leaves_no_file_that_looks_whole(tmp_path, monkeypatch, without_pyarrow):
    file = tmp_path / "posts.csv"
    file.write_text("the one before")

    def broken(*args):
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(CommandError, match="parquet") as caught:
        call_command("export_posts", output=str(file), format="parquet")
    assert caught.value.returncode == 1
    monkeypatch.setattr(export, "_csv", broken)
    with pytest.raises(CommandError, match="No space left"):
        call_command("export_posts", output=str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["posts.csv"]
    assert file.read_text() == "the one before"


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_command_writes_to_standard_output():
    factories.post(title="piped 中文")
    name = connection.settings_dict["NAME"]
    settings = connection.settings_dict
    url = (
        f"sqlite:///{name}"
        if connection.vendor == "sqlite"
        else f"postgres://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT'] or 5432}/{name}"
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "export_posts", "--format", "jsonl"],
        cwd=django_settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        check=True,
    )
    assert titles(done.stdout) == ["piped 中文"]
    assert b"posts: " in done.stderr
