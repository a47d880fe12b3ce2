"""Draws the diagram of the chapter on vectors and gradients: `python book/figures/vectors.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, svg

CELL, MIDDLE = 17, {"forward": 120, "reverse": 330}


def text(x, y, content, colour=GREY, size=15, weight=600):
    return f"<text x='{x:.0f}' y='{y:.0f}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='middle'>{content}</text>"


def matrix(x, middle, rows, columns, name, colour):
    """A matrix as a table of squares, its name above and its shape below; x is its left edge."""
    top, body = middle - CELL * rows / 2, []
    for row in range(rows):
        for column in range(columns):
            body.append(
                f"<rect x='{x + CELL * column:.0f}' y='{top + CELL * row:.1f}' width='{CELL}' height='{CELL}' "
                f"fill='{colour}' fill-opacity='.22' stroke='{colour}' stroke-width='1.2'/>"
            )
    centre = x + CELL * columns / 2
    return [*body, text(centre, top - 10, name, colour), text(centre, middle + CELL * rows / 2 + 20, f"({rows}, {columns})", GREY, 13, 500)]


def row(middle, parts):
    """Matrices side by side: (x, rows, columns, name, colour); text: (x, content)."""
    body = []
    for part in parts:
        body += [text(part[0], middle + 6, part[1], GREY, 18)] if len(part) == 2 else matrix(part[0], middle, *part[1:])
    return body


def order():
    """J_3 J_2 J_1 with sizes 6, 5, 4, 1: the two orders, what they make on the way, and how many multiplications each product takes."""
    body = row(
        MIDDLE["forward"],
        [
            (30, 1, 4, "J₃", BLUE),
            (110, "·"),
            (128, "("),
            (138, 4, 5, "J₂", BLUE),
            (238, "·"),
            (252, 5, 6, "J₁", BLUE),
            (364, ")"),
            (392, "="),
            (418, 1, 4, "J₃", BLUE),
            (498, "·"),
            (512, 4, 6, "J₂ J₁", ORANGE),
            (640, "="),
            (664, 1, 6, "J", ORANGE),
        ],
    )
    body += row(
        MIDDLE["reverse"],
        [
            (22, "("),
            (32, 1, 4, "J₃", BLUE),
            (114, "·"),
            (128, 4, 5, "J₂", BLUE),
            (226, ")"),
            (240, "·"),
            (252, 5, 6, "J₁", BLUE),
            (392, "="),
            (418, 1, 5, "J₃ J₂", ORANGE),
            (518, "·"),
            (532, 5, 6, "J₁", BLUE),
            (650, "="),
            (664, 1, 6, "J", ORANGE),
        ],
    )
    body += [
        text(370, 26, "from the inputs: a matrix is carried along", GREY, 15),
        text(370, 208, "4·5·6 + 1·4·6 = 144 multiplications", ORANGE, 16, 700),
        text(370, 250, "from the output: a row is carried along", GREY, 15),
        text(370, 416, "1·4·5 + 1·5·6 = 50 multiplications", ORANGE, 16, 700),
    ]
    return svg(790, 432, "A product of three Jacobians in two orders", body)


def main():
    (HERE / "vectors-order.svg").write_text(order(), encoding="utf-8")


if __name__ == "__main__":
    main()
