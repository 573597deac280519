"""What agents must return: pydantic models whose JSON schema goes to the endpoint.

A model's reply is hostile input: these types are the border where it is validated. Lengths that
matter to readers are checked here, so that a repair turn can name them. No defaults: the strict
`json_schema` mode of OpenAI-compatible endpoints wants every field listed as required.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Output(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OutlineSection(Output):
    id: str = Field(min_length=1, max_length=40)
    heading: str = Field(min_length=1, max_length=200)
    goal: str
    key_questions: list[str]
    word_budget: int = Field(ge=20, le=3_000)


class SearchQuery(Output):
    query: str = Field(min_length=1, max_length=300)
    reason: str


class TopicPlan(Output):
    """topic_planner: the brief restated, an angle, an outline, what to search for."""

    title: str = Field(min_length=1, max_length=200)
    angle: str
    intent: str
    outline: list[OutlineSection] = Field(min_length=2, max_length=10)
    search_queries: list[SearchQuery] = Field(min_length=1, max_length=8)
    keywords: list[str] = Field(min_length=1, max_length=15)
    out_of_scope: list[str]


class Finding(Output):
    claim: str = Field(min_length=1)
    quote: str
    source_id: str = Field(min_length=1, max_length=40)
    confidence: Literal["high", "medium", "low"]


class Findings(Output):
    """web_researcher, kb_researcher: claims with the id of the passage that holds them."""

    findings: list[Finding] = Field(max_length=30)
    gaps: list[str]
    conflicts: list[str]


class SeoReport(Output):
    """seo_specialist: metadata and advice; the checks beside it are computed by code."""

    title: str = Field(min_length=1, max_length=120)
    meta_description: str = Field(min_length=1, max_length=320)
    slug: str = Field(min_length=1, max_length=100)
    focus_keyword: str = Field(min_length=1, max_length=100)
    secondary_keywords: list[str] = Field(max_length=12)
    search_intent: Literal["informational", "navigational", "commercial", "transactional"]
    tags: list[str] = Field(max_length=12)
    suggestions: list[str] = Field(max_length=10)


class Recommendation(Output):
    issue: str
    evidence: str
    fix: str


class MetricsReading(Output):
    """metrics_analyzer: what the computed numbers mean for this audience."""

    interpretation: str
    audience_fit: str
    recommendations: list[Recommendation] = Field(max_length=5)


class Edit(Output):
    """One change: `find` stands in the text exactly once and becomes `replace`."""

    find: str = Field(min_length=1)
    replace: str
    why: str


class PublisherNotes(Output):
    """publisher: the headline and the edits that code applies; never the article again."""

    title: str = Field(min_length=1, max_length=200)
    standfirst: str = Field(max_length=500)
    edits: list[Edit] = Field(max_length=12)
    not_applied: list[str]


class Summary(Output):
    """summary_writer: three lengths."""

    tldr: str = Field(min_length=1, max_length=280)
    abstract: str = Field(min_length=1, max_length=1_200)
    key_points: list[str] = Field(min_length=3, max_length=5)


Platform = Literal["x", "linkedin", "bluesky", "mastodon", "threads", "facebook", "instagram"]
Variant = Literal["a", "b"]


class Post(Output):
    platform: Platform
    variant: Variant
    text: str = Field(min_length=1, max_length=3_000)
    hashtags: list[str] = Field(max_length=6)


class SocialPosts(Output):
    """social_promoter: two posts for each network, different in what they tell."""

    posts: list[Post] = Field(min_length=1, max_length=14)

    @model_validator(mode="before")
    @classmethod
    def _name_variants(cls, value: Any) -> Any:
        """A post that names no variant (stored before there were any) gets it by its order."""
        posts = value.get("posts") if isinstance(value, dict) else None
        if not isinstance(posts, list):
            return value
        seen: set[str] = set()
        named: list[object] = []
        for post in posts:
            if isinstance(post, dict):
                platform = str(post.get("platform"))
                post = {"variant": "b" if platform in seen else "a"} | post
                seen.add(platform)
            named.append(post)
        return {**value, "posts": named}
