"""What the interactive figures ask IPython to display, and a page to see it on."""

import pytest

PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>A figure</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
html {{ color: #222; background: #fff; --pst-color-background: #fff; }}
html[data-theme="dark"] {{ color: #ced6dd; background: #14181e; color-scheme: dark; --pst-color-background: #14181e; }}
html[data-theme="dark"] .bd-content div.cell_output .text_html:not(:has(table.dataframe)) {{ background-color: #ced6dd; color: #14181e; }}
body {{ font: 16px sans-serif; margin: 0 1rem; }}</style></head>
<body><main class="bd-content"><h1>A figure</h1>{body}</main></body></html>"""
CELL = '<div class="cell_output"><div class="output text_html">{}</div></div>'


def displayed(*shows):
    """What each call displays, [{"text/html": ..., "text/plain": ...}, ...]: raw, and one output a call."""
    import IPython.display

    record = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IPython.display, "display", lambda bundle, **options: record.append((bundle, options)))
        for show in shows:
            show()
    assert [options for _, options in record] == [{"raw": True}] * len(shows)
    return [bundle for bundle, _ in record]


def html_of(show):
    """The HTML that the chapter's cell stores."""
    return displayed(show)[0]["text/html"]
