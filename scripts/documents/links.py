"""A hook of mkdocs: links from the documents to files of the repository, which the web site does not have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **others: Any) -> str:
    """The page with the text of such a link instead of the link. Raises PluginError if there is no such file."""
    top, here = Path(config["docs_dir"]).resolve(), Path(page.file.abs_src_path).parent

    def without(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(top):
            return link[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri}: {link[0]} leads to nothing")
        return link[1]

    return LINK.sub(without, markdown)
