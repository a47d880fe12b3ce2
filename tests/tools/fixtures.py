"""Small notebooks for the tests of the tools."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


def markdown(source):
    return new_markdown_cell(source)


def code(source, *outputs, tags=(), alt=None, count=None, run=True):
    """A code cell; `count` is set by `notebook` unless given, or left out where `run` is false."""
    cell = new_code_cell(source)
    cell.outputs = [nbformat.from_dict(output) for output in outputs]
    cell.execution_count = (count or -1) if run else None
    if tags:
        cell.metadata["tags"] = list(tags)
    if alt:
        cell.metadata["mystnb"] = {"image": {"alt": alt}}
    return cell


def notebook(*cells, budget=None):
    count = 0
    for cell in cells:
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            cell.execution_count = count if cell.execution_count == -1 else cell.execution_count
    found = new_notebook(cells=list(cells))
    if budget:
        found.metadata["dlcourse"] = {"budget": budget}
    return found


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def display(**data):
    return new_output("display_data", data={key.replace("_", "/", 1): value for key, value in data.items()})


def glued(name, text):
    output = new_output("display_data", data={"application/papermill.record/text/plain": repr(text), "text/plain": f"{name} = {text}"})
    output.metadata["scrapbook"] = {"name": name, "mime_prefix": "application/papermill.record/"}
    return output
