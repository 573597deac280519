"""The ten agents, in order. Adding one is an entry here and a prompt file, nothing else.

Order matters twice: phases run in the order in which they first appear, and the sequential mode
is a chain through this tuple. What the run's options change is declared here as well:
`expansion` (one agent per outline section) and `speculation` (a forerunner).
"""

from __future__ import annotations

from pipeline.agents.outputs import (
    Findings,
    MetricsReading,
    PublisherNotes,
    SeoReport,
    SocialPosts,
    Summary,
    TopicPlan,
)
from pipeline.models import AgentSpec, Expansion, Importance, Need, OnFailure, Speculation

WEB_TOOLS = ("web_search", "fetch_page")

ROSTER: tuple[AgentSpec, ...] = (
    AgentSpec(
        name="topic_planner",
        title="Topic planner",
        phase="planning",
        importance=Importance.CRITICAL,
        on_failure=OnFailure.STOP,
        prompt_file="topic_planner.md",
        output=TopicPlan,
    ),
    AgentSpec(
        name="web_researcher",
        title="Web researcher",
        phase="research",
        importance=Importance.IMPORTANT,
        on_failure=OnFailure.ABSENT,
        prompt_file="web_researcher.md",
        needs=(Need("topic_planner"),),
        tools=WEB_TOOLS,
        output=Findings,
        speculation=Speculation(
            option="speculative_research",
            phase="planning",
            title="Early researcher",
            prompt_file="early_researcher.md",
            top_up_prompt_file="web_researcher_top_up.md",
        ),
    ),
    AgentSpec(
        name="kb_researcher",
        title="Knowledge base researcher",
        phase="research",
        importance=Importance.IMPORTANT,
        on_failure=OnFailure.ABSENT,
        prompt_file="kb_researcher.md",
        tools=("kb_search",),
        output=Findings,
    ),
    AgentSpec(
        name="content_writer",
        title="Content writer",
        phase="writing",
        importance=Importance.CRITICAL,
        on_failure=OnFailure.STOP,
        prompt_file="content_writer.md",
        needs=(
            Need("topic_planner"),
            Need("web_researcher", "any"),
            Need("kb_researcher", "any"),
        ),
        max_output_tokens=6_000,
        expansion=Expansion(
            option="section_writing",
            by="topic_planner",
            kind="write",
            title="Section writer {number}",
            prompt_file="section_writer.md",
            needs=(
                Need("topic_planner"),
                Need("web_researcher", "any"),
                Need("kb_researcher", "any"),
            ),
        ),
    ),
    AgentSpec(
        name="editor",
        title="Editor",
        phase="editing",
        importance=Importance.IMPORTANT,
        on_failure=OnFailure.SUBSTITUTE,
        prompt_file="editor.md",
        needs=(
            Need("content_writer"),
            Need("web_researcher", "optional"),
            Need("kb_researcher", "optional"),
        ),
        max_output_tokens=6_000,
        expansion=Expansion(
            option="section_editing",
            by="topic_planner",
            kind="edit",
            title="Section editor {number}",
            prompt_file="section_editor.md",
            needs=(
                Need("topic_planner"),
                Need("content_writer/{before}", "optional"),
                Need("content_writer/{number}"),
                Need("content_writer/{after}", "optional"),
                Need("web_researcher", "optional"),
                Need("kb_researcher", "optional"),
            ),
        ),
    ),
    AgentSpec(
        name="seo_specialist",
        title="SEO specialist",
        phase="enhancement",
        importance=Importance.OPTIONAL,
        on_failure=OnFailure.ABSENT,
        prompt_file="seo_specialist.md",
        needs=(Need("editor"),),
        facts=("computed",),
        output=SeoReport,
    ),
    AgentSpec(
        name="metrics_analyzer",
        title="Metrics analyzer",
        phase="enhancement",
        importance=Importance.OPTIONAL,
        on_failure=OnFailure.SUBSTITUTE,
        prompt_file="metrics_analyzer.md",
        needs=(Need("editor"),),
        facts=("computed",),
        output=MetricsReading,
    ),
    AgentSpec(
        name="publisher",
        title="Publisher",
        phase="publishing",
        importance=Importance.IMPORTANT,
        on_failure=OnFailure.SUBSTITUTE,
        prompt_file="publisher.md",
        needs=(
            Need("editor"),
            Need("seo_specialist", "optional"),
            Need("metrics_analyzer", "optional"),
        ),
        output=PublisherNotes,
    ),
    AgentSpec(
        name="summary_writer",
        title="Summary writer",
        phase="distribution",
        importance=Importance.OPTIONAL,
        on_failure=OnFailure.ABSENT,
        prompt_file="summary_writer.md",
        needs=(Need("editor"),),
        output=Summary,
    ),
    AgentSpec(
        name="social_promoter",
        title="Social promoter",
        phase="distribution",
        importance=Importance.OPTIONAL,
        on_failure=OnFailure.ABSENT,
        prompt_file="social_promoter.md",
        needs=(Need("editor"),),
        facts=("limits",),
        max_output_tokens=5_000,  # fourteen posts, in any script
        output=SocialPosts,
    ),
)
