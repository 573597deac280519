"""Search services: SearXNG, Brave, Tavily, Exa and Serper, asked over plain HTTP."""

from pipeline.tools.web_search.client import SearchService
from pipeline.tools.web_search.forms import FORMS

__all__ = ["FORMS", "SearchService"]
