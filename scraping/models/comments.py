"""Comments on the stored posts."""

from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from database.constraints import DatabaseOnDelete
from scraping.models.content import PostSighting, RedditContent, RedditPost
from scraping.visibility import Person, sees_everybodys


class RedditCommentQuerySet(models.QuerySet["RedditComment"]):
    """Selects comments by visibility and finder."""

    def visible_to(self, user: Person) -> Self:
        """Return the comments of the posts that the user may see."""
        if sees_everybodys(user):
            return self
        return self.filter(Exists(PostSighting.objects.of_bots_of(user).filter(post=OuterRef("post_id"))))

    def found_by(self, config_id: int) -> Self:
        """Return the comments of the posts that a bot found."""
        return self.filter(post__in=PostSighting.objects.filter(config=config_id).values("post"))


class RedditComment(RedditContent):
    """A comment, kept by its fullname (t1_…); it goes with its post."""

    post = models.ForeignKey(
        RedditPost,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="comments",
        verbose_name=_("post"),
    )
    # t3_… for a top-level comment, otherwise the t1_… that it answers, which may not be stored.
    parent_fullname = models.CharField(_("answers"), max_length=16)
    depth = models.PositiveSmallIntegerField(_("depth"), default=0)
    is_submitter = models.BooleanField(_("by the post's author"), default=False)
    is_score_hidden = models.BooleanField(_("score hidden"), default=False)

    objects = RedditCommentQuerySet.as_manager()

    class Meta:
        verbose_name = _("comment")
        verbose_name_plural = _("comments")
        permissions = [("export_redditcomment", _("Can export comments"))]
        ordering = ["-id"]
        constraints = [
            DatabaseOnDelete(name="redditcomment_post_fk", field="post"),
            # upserts: ON CONFLICT (fullname)
            models.UniqueConstraint(fields=["fullname"], name="redditcomment_fullname_unique"),
            models.CheckConstraint(
                name="redditcomment_fullname_is_t1", condition=Q(fullname__startswith="t1_")
            ),
            models.CheckConstraint(
                name="redditcomment_state_known",
                condition=Q(state__in=["live", "author", "moderator", "reddit", "missing"]),
            ),
        ]
        indexes = [
            # refresh_stored_content: the least recently verified first
            models.Index(fields=["checked_at"], name="redditcomment_checked_at"),
            # search by author; see redditpost_author
            models.Index(fields=["author"], name="redditcomment_author"),
            # admin filter by state: nearly all are live
            models.Index(fields=["state", "-id"], name="redditcomment_gone", condition=~Q(state="live")),
        ]

    def __str__(self) -> str:
        return self.fullname
