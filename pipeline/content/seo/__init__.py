"""What a search engine gets of an article, checked and made by code.

`checks` measures and scores, `pixels` knows how wide a line is, `snippet` shows a result as a search
page would, `structured` writes what stands in a page's head; `view` puts it together.
"""

from pipeline.content.seo.checks import Check, score
from pipeline.content.seo.pixels import cut_to, width
from pipeline.content.seo.view import seo_view
from pipeline.content.seo.wording import keyword_count, make_slug

__all__ = ["Check", "cut_to", "keyword_count", "make_slug", "score", "seo_view", "width"]
