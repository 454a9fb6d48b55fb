"""Text of others in places that read Markdown."""

import pytest

from dashboard.safe_render import escape_markdown


@pytest.mark.parametrize(
    "text", ["", "batch: 1e9 is not allowed; give integers (1 to 9)", "3.5x, 95% CI 3 to 4; it's done!"]
)
def test_ordinary_sentences_stay_as_they_are(text):
    assert escape_markdown(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("[a](b)", r"\[a\](b)"),
        ("![](b)", r"!\[\](b)"),
        ("<b>", r"\<b\>"),
        ("**b** _i_ ~s~", r"\*\*b\*\* \_i\_ \~s\~"),
        ("`code`", r"\`code\`"),
        ("$x$ :red[y]", r"\$x\$ :red\[y\]"),
        (r"C:\tmp", r"C:\\tmp"),
    ],
)
def test_what_markdown_would_read_as_markup_is_escaped(text, escaped):
    assert escape_markdown(text) == escaped


def test_several_lines_become_one():
    assert escape_markdown("one\n\n# two") == r"one \# two"
