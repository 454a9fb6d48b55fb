"""Text of others in places that read Markdown."""

import pytest

from dashboard.safe_render import WORD_JOINER, escape_markdown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CPU @ desk",
        "matmul a@b at 512: (a+b)@c.",
        "batch: 1e9 is not allowed; give integers (1 to 9)",
        "3.5x, 95% CI 3 to 4; it's done!",
    ],
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


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(a@b + a.T@b.T)", ["(a@b + a.T", "@b.T)"]),
        ("ada@example.org is unknown", ["ada", "@example.org is unknown"]),
        ("see HTTPS://example.org", ["see HTTPS:", "//example.org"]),
        ("see www.example.org", ["see www", ".example.org"]),
    ],
)
def test_an_address_is_interrupted_so_that_it_becomes_no_link(text, parts):
    assert escape_markdown(text).split(WORD_JOINER) == parts


def test_several_lines_become_one():
    assert escape_markdown("one\n\n# two") == r"one \# two"
