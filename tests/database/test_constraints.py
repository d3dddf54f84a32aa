import pytest
from django.db import IntegrityError, connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.writer import MigrationWriter

from database.constraints import DatabaseOnDelete, OnDelete, cascaded_children
from maintenance.models import JobRun, RunLogLine
from scraping.models import BotConfig, RedditComment, RedditPost, ScrapeSession
from tests.kit import factories


def delete_raw(row):
    """Delete the row without Django: what else happens, the database does."""
    table = connection.ops.quote_name(row._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE id = %s", [row.pk])


# --- On delete -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_database_deletes_the_comments_of_a_post():
    post, other = factories.post(), factories.post()
    factories.comment(post=post)
    survivor = factories.comment(post=other)

    delete_raw(post)

    assert list(RedditComment.objects.all()) == [survivor]
    connection.check_constraints()


@pytest.mark.django_db
def test_the_database_deletes_the_log_of_a_run():
    run, other = factories.job_run(), factories.job_run()
    factories.log_line(run=run)
    survivor = factories.log_line(run=other)

    delete_raw(run)

    assert list(RunLogLine.objects.all()) == [survivor]


@pytest.mark.django_db
def test_the_database_takes_a_deleted_run_from_its_session_and_its_next_attempt():
    run, other = factories.job_run(), factories.job_run()
    session, other_session = factories.session(run=run), factories.session(run=other)
    retry, other_retry = factories.job_run(retry_of=run), factories.job_run(retry_of=other)

    delete_raw(run)

    runs = dict(ScrapeSession.objects.values_list("pk", "run"))
    assert runs == {session.pk: None, other_session.pk: other.pk}
    retried = dict(JobRun.objects.values_list("pk", "retry_of"))
    assert retried == {other.pk: None, retry.pk: None, other_retry.pk: other.pk}


@pytest.mark.django_db
def test_one_set_based_delete_takes_the_children_along_in_one_query(django_assert_num_queries):
    kept = factories.comment()
    for _ in range(3):
        factories.comment(post=factories.post(subreddit="gone"))

    with django_assert_num_queries(1):
        expired = RedditPost.objects.filter(subreddit="gone")
        expired._raw_delete(using="default")

    assert list(RedditComment.objects.all()) == [kept]


@pytest.mark.django_db
def test_a_post_outlives_its_session_which_is_only_a_number_to_it():
    post = factories.post(session=factories.session())

    delete_raw(post.session)

    assert RedditPost.objects.get().session_id == post.session_id
    connection.check_constraints()


@pytest.mark.django_db
def test_an_orphan_is_refused():
    comment = factories.comment()

    with transaction.atomic():
        RedditComment.objects.filter(pk=comment.pk).update(post_id=-1)
        with pytest.raises(IntegrityError):
            connection.check_constraints()
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_an_orphan_is_refused_at_commit():
    comment = factories.comment()

    with pytest.raises(IntegrityError):
        RedditComment.objects.filter(pk=comment.pk).update(post_id=-1)


# --- Migrations ------------------------------------------------------------------------------


@pytest.fixture
def widen():
    """Widens a column as a migration does, which makes SQLite build the table anew; undone at the end."""
    widened = []

    def alter(model, name, old, new):
        with connection.schema_editor() as editor:
            editor.alter_field(model, old, new)

    def widen(model, name):
        old = model._meta.get_field(name)
        new = old.clone()
        new.max_length += 100
        new.set_attributes_from_name(name)
        new.model = model
        widened.append((model, name, new, old))
        alter(model, name, old, new)

    yield widen
    for change in reversed(widened):
        alter(*change)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("model", "name"),
    [(RedditComment, "distinguished"), (RedditPost, "distinguished")],
    ids=["child", "parent"],
)
def test_a_cascade_survives_a_migration_of_its_tables(widen, model, name):
    post, other = factories.post(), factories.post()
    factories.comment(post=post)
    survivor = factories.comment(post=other)

    widen(model, name)

    assert RedditComment.objects.count() == 2
    delete_raw(post)
    assert list(RedditComment.objects.all()) == [survivor]
    with pytest.raises(IntegrityError):
        RedditComment.objects.filter(pk=survivor.pk).update(post_id=-1)


@pytest.mark.django_db(transaction=True)
def test_a_key_to_its_own_table_survives_a_migration(widen):
    run = factories.job_run()
    retry = factories.job_run(retry_of=run)
    line, survivor = factories.log_line(run=run), factories.log_line(run=retry)

    widen(JobRun, "stage")

    assert set(RunLogLine.objects.all()) == {line, survivor}
    delete_raw(run)
    assert JobRun.objects.get().retry_of_id is None
    assert list(RunLogLine.objects.all()) == [survivor]


def migrate(operation, state):
    """Apply the operation to the maintenance app; return the state after it."""
    after = state.clone()
    operation.state_forwards("maintenance", after)
    with connection.schema_editor() as editor:
        operation.database_forwards("maintenance", editor, state, after)
    return after


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_migrations_remove_and_add_a_constraint():
    constraint = next(c for c in RunLogLine._meta.constraints if c.name == "runlogline_run_fk")
    line, survivor = factories.log_line(), factories.log_line()
    lines = RunLogLine.objects.filter(pk=line.pk)

    state = migrate(
        migrations.RemoveConstraint("RunLogLine", constraint.name),
        MigrationLoader(connection).project_state(),
    )
    try:
        lines.update(run_id=-1)
    finally:
        lines.update(run_id=line.run_id)
        migrate(migrations.AddConstraint("RunLogLine", constraint), state)

    with pytest.raises(IntegrityError):
        lines.update(run_id=-1)
    delete_raw(line.run)
    assert list(RunLogLine.objects.all()) == [survivor]


def test_a_migration_writes_a_constraint_that_equals_it():
    constraint = DatabaseOnDelete(name="x_fk", field="run", action="SET NULL")

    path, arguments, options = constraint.deconstruct()

    assert path == "database.constraints.DatabaseOnDelete"
    assert DatabaseOnDelete(*arguments, **options) == constraint
    assert constraint.clone() == constraint
    assert "SET NULL" in MigrationWriter.serialize(constraint)[0]


@pytest.mark.parametrize(
    "other",
    [
        DatabaseOnDelete(name="y_fk", field="run", action="CASCADE"),
        DatabaseOnDelete(name="x_fk", field="post", action="CASCADE"),
        DatabaseOnDelete(name="x_fk", field="run", action="SET NULL"),
        models.UniqueConstraint(name="x_fk", fields=["run"]),
    ],
)
def test_a_change_of_name_field_or_action_makes_another_constraint(other):
    assert DatabaseOnDelete(name="x_fk", field="run") != other


def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match="RESTRICT"):
        DatabaseOnDelete(name="x_fk", field="run", action="RESTRICT")


# --- What goes with a row --------------------------------------------------------------------


def names(fields):
    return [str(field) for field in fields]


def test_what_cascades_is_found_and_what_is_set_null_is_not():
    assert names(cascaded_children(RedditPost)) == ["scraping.RedditComment.post"]
    assert names(cascaded_children(JobRun)) == ["maintenance.RunLogLine.run"]


def test_a_key_without_a_constraint_is_no_child():
    assert cascaded_children(ScrapeSession) == []


def test_a_cascade_that_only_python_performs_is_refused():
    with pytest.raises(TypeError, match=r"scraping\.ScrapeSession\.config.*declare DatabaseOnDelete"):
        cascaded_children(BotConfig)


def test_the_actions_are_those_the_models_use():
    used = {
        constraint.action
        for model in (RedditComment, ScrapeSession, JobRun, RunLogLine)
        for constraint in model._meta.constraints
        if isinstance(constraint, DatabaseOnDelete)
    }

    assert used == set(OnDelete)
