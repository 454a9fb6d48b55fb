"""Text that others wrote, shown as it is."""

import re

MARKUP = re.compile(r"([\\`*_\[\]<>$~#])")


def plain(text: str) -> str:
    """`text` for a place that reads Markdown: nothing in it is a link, an image, a formula or emphasis."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))
