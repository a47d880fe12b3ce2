"""Interactive figures, each on a small page of its own, opened from a file as a reader without network does."""

import json

import numpy as np
import pytest

from dlcourse.interactive import backprop
from tests.figures import html_of
from tests.test_interactive import by_hand

NAMES = "w11 w12 b1 w21 w22 b2 v1 v2 c x1 x2 t".split()
WEIGHTS = NAMES[:9]


@pytest.fixture(scope="module")
def html():
    return html_of(lambda: backprop.show(by_hand(), [1, 1], 0))


def state(page, copy=0):
    """All numbers of a figure, unrounded."""
    return json.loads(page.locator(".dl-interactive").nth(copy).get_attribute("data-state"))


def number(page, name, copy=0):
    return page.locator(".dl-interactive").nth(copy).locator(f"[data-row={name}] input[type=number]")


def slider(page, name):
    return page.locator(f"[data-row={name}] input[type=range]")


def said(page):
    return page.get_by_role("status").inner_text()


def settings(page):
    return {name: state(page)[name] for name in NAMES}


# ---------------------------------------------------------------- arithmetic


def test_it_opens_with_the_numbers_of_the_notebook(visit):
    """The script takes the picture over without changing a letter of it."""
    without, live = visit(scripts=False), visit()
    for page in (without, live):
        assert page.locator(".dl-net").get_attribute("aria-label").endswith("dy = 2, dh₁ = 2, dh₂ = −2.")
    assert without.locator(".dl-net").inner_html().count("data-value") == 34
    numbers = [page.locator(".dl-net [data-value]").all_text_contents() for page in (without, live)]
    assert numbers[0] == numbers[1]
    assert (state(live)["L"], state(live)["dv2"], state(live)["dw22"]) == (1, 2, -2)


def test_arithmetic_is_that_of_numpy(visit, rng):
    """20 random settings, typed into the fields; every value and gradient agrees with the package to rounding."""
    page, off = visit(), 0
    for _ in range(20):
        wanted = {name: round(value, 3) for name, value in zip(NAMES, rng.normal(size=12).tolist(), strict=True)}
        page.evaluate(TYPE, wanted)
        found, expected = state(page), backprop.forward_backward(wanted)
        assert found.keys() == expected.keys()
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-12, err_msg=name)
        drawn = {e["name"]: e["text"] for e in page.evaluate(DRAWN)}
        assert drawn == {name: backprop.short(expected[name]) for name in drawn}
        assert page.locator(".dl-net").get_attribute("aria-label") == backprop.summary(expected)
        off += (expected["z1"] <= 0) + (expected["z2"] <= 0)
    assert 5 < off < 35  # both kinds of units were seen


TYPE = """wanted => {
  for (const [name, value] of Object.entries(wanted)) {
    const field = document.querySelector(`[data-row=${name}] input[type=number]`);
    field.value = value;
    for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind));
  }
}"""
DRAWN = "() => [...document.querySelectorAll('.dl-net [data-value]')].map(e => ({name: e.dataset.value, text: e.textContent}))"


def test_a_step_is_gradient_descent(visit):
    page = visit()
    before = backprop.forward_backward(settings(page))
    page.get_by_role("button", name="Step on this example").click()
    after = settings(page)
    for name in WEIGHTS:
        np.testing.assert_allclose(after[name], before[name] - 0.02 * before[f"d{name}"], rtol=1e-12, atol=1e-12)
    assert [after[name] for name in ("x1", "x2", "t")] == [1, 1, 0]
    assert said(page) == "The loss goes from 1 to 0.28. The gradient promised a change of −0.96; it changed by −0.7246."


def test_a_step_on_all_four_takes_the_mean(visit):
    page = visit()
    start = settings(page)
    passes = [backprop.forward_backward(start | dict(zip(("x1", "x2", "t"), point, strict=True))) for point in backprop.XOR]
    page.get_by_label("Learning rate").select_option("0.1")
    page.get_by_role("button", name="Step on all four").click()
    for name in WEIGHTS:
        mean = np.mean([found[f"d{name}"] for found in passes])
        np.testing.assert_allclose(settings(page)[name], start[name] - 0.1 * mean, rtol=1e-12, atol=1e-12)
    assert said(page).startswith("The mean loss goes from 0.25 to ")


# ---------------------------------------------------------------- what moving something teaches


def test_the_gradient_is_the_slope(visit):
    page = visit()
    number(page, "v2").fill("-1.01")
    assert said(page) == ("v₂ moved by −0.01. The gradient predicts that the loss changes by 2 · (−0.01) = −0.02; it changed by −0.0199.")
    assert page.get_by_role("img", name="The loss against v₂, which is −1.01; the slope there is 1.98.").count() == 1


def test_a_unit_that_is_off_passes_no_gradient(visit):
    page = visit()
    number(page, "b2").fill("-3")
    found = state(page)
    assert found["h2"] == 0 and found["dh2"] != 0
    assert [found[name] for name in ("dz2", "dw21", "dw22", "db2", "dv2")] == [0] * 5
    assert page.get_by_text("h₂ is off: z₂ is not positive, so dz₂ = 0, and nothing flows back through it.").is_visible()
    assert page.locator(".dl-net [data-off]").count() == page.locator('.dl-net [data-unit="2"]').count() == 4
    before = settings(page)
    page.get_by_role("button", name="Step on this example").click()
    assert [settings(page)[n] for n in ("w21", "w22", "b2", "v2")] == [before[n] for n in ("w21", "w22", "b2", "v2")]


def test_too_large_a_step_leaps_over_the_valley(visit):
    page = visit()
    page.get_by_label("Learning rate").select_option("0.1")
    page.get_by_role("button", name="Step on this example").click()
    assert said(page).endswith("The step was too large: it leapt over the valley.")
    page.get_by_label("Learning rate").select_option("0.5")
    for _ in range(12):
        page.get_by_role("button", name="Step on this example").click()
        assert all(np.isfinite(value) for value in state(page).values())
    assert "∞" not in page.locator("main").inner_text() and "NaN" not in page.locator("main").inner_text()


def test_small_steps_lower_the_loss(visit):
    """The loss of all four points falls step by step, and the drawing of the losses has one point a step."""
    page, losses = visit(), []
    page.get_by_label("Learning rate").select_option("0.05")
    for _ in range(10):
        page.get_by_role("button", name="Step on all four").click()
        losses.append(float(page.locator(".dl-plot text", has_text="mean over all").text_content().split(": ")[1]))
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    assert page.locator(".dl-plot").nth(1).locator("circle").count() == 11


def test_examples_and_reset(visit):
    page = visit()
    start = settings(page)
    number(page, "w11").fill("2.5")
    choice = page.get_by_label("one of the four")
    choice.select_option(label="(0, 1), target 1")
    assert [settings(page)[name] for name in ("w11", "x1", "x2", "t")] == [2.5, 0, 1, 1]
    number(page, "x1").fill("0.5")
    assert choice.evaluate("e => e.selectedOptions[0].text") == "your own"
    page.get_by_role("button", name="Reset").click()
    assert settings(page) == start and choice.evaluate("e => e.selectedOptions[0].text") == "(1, 1), target 0"
    assert page.get_by_label("Learning rate").input_value() == "0.02"


def test_an_empty_field_changes_nothing(visit):
    page = visit()
    number(page, "v1").fill("")
    assert state(page)["v1"] == 1
    number(page, "v1").blur()
    assert number(page, "v1").input_value() == "1"


# ---------------------------------------------------------------- ways to use it


def test_by_keyboard(visit):
    """Tab reaches every control in the order of the page; arrows move, space presses."""
    page, order = visit(), []
    for _ in range(30):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate("() => document.activeElement.getAttribute('aria-label') || document.activeElement.innerText.split('\\n')[0]")
        )
    assert order[:4] == ["weight w₁₁, slider", "weight w₁₁", "weight w₁₂, slider", "weight w₁₂"]
    assert order[25:29] == ["0.01", "Step on this example", "Step on all four", "Reset"]
    slider(page, "v2").focus()
    page.keyboard.press("ArrowLeft")
    assert state(page)["v2"] == -1.05
    assert said(page).startswith("v₂ moved by −0.05. The gradient predicts that the loss changes by 2 · (−0.05) = −0.1;")
    page.keyboard.press("ArrowLeft")  # a nudge of its own, from the new place
    assert said(page).startswith("v₂ moved by −0.05. The gradient predicts that the loss changes by 1.9 · (−0.05) = −0.095;")
    number(page, "b1").focus()
    page.keyboard.press("ArrowUp")
    assert state(page)["b1"] == 0.01
    page.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Space")
    assert state(page)["v2"] == -1


def test_every_control_has_a_name(visit):
    page = visit()
    names = [
        control.get_attribute("aria-label") or control.locator("xpath=..").inner_text() for control in page.locator("input, select").all()
    ]
    assert len(names) == 26 == len(set(names))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_no_serious_accessibility_fault(visit, theme, width):
    from axe_core_python.sync_playwright import Axe

    page = visit(theme, width, copies=2)
    number(page, "b2").fill("-3")
    result = Axe().run(page, options={"resultTypes": ["violations"]})
    assert [(v["id"], v["nodes"][0]["html"]) for v in result["violations"] if v["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("width", [1400, 700, 400, 320])
def test_nothing_sticks_out(visit, width):
    page = visit(width=width)
    page.evaluate(TYPE, dict.fromkeys(NAMES, -2.357))
    found = page.evaluate(STICKS_OUT)
    assert found == []


STICKS_OUT = """() => {
  const wide = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const e of document.querySelectorAll(".dl-interactive :is(input, span, button, select, p, text)")) {
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > wide + 1 || box.left < -1)) found.push(`${e.tagName} ${e.textContent} from ${box.left} to ${box.right}`);
    if (e.tagName === "text" && box.width && box.height < 8) found.push(`letters of ${e.textContent} are ${box.height} high`);
  }
  return found;
}"""


def contrast(one, two):
    def luminance(colour):
        r, g, b = (c / 12.92 if (c := v / 255) <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for v in colour)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    dark, light = sorted([luminance(one), luminance(two)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_letters_of_the_drawing_stand_out(visit, theme):
    """axe does not look into SVG."""
    page = visit(theme)
    ground = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)")
    assert ground == ([255, 255, 255] if theme == "light" else [20, 24, 30])
    assert page.locator(".text_html").evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"  # no light card
    colours = page.evaluate(
        "() => [...document.querySelectorAll('svg text')].filter(e => !e.closest('.dl-unit'))"
        ".map(e => [e.textContent, getComputedStyle(e).fill.match(/\\d+/g).map(Number)])"
    )
    assert len(colours) > 20
    for text, colour in colours:
        assert contrast(colour[:3], ground) >= 4.5, text


def test_without_scripts_the_picture_stands_alone(visit):
    page = visit(scripts=False)
    assert page.locator(".dl-net").is_visible() and page.locator(".dl-legend").is_visible()
    assert page.get_by_text("dv₁ = 4").is_visible()
    assert page.locator("button, input, select").count() == 0


def test_two_copies_do_not_disturb_one_another(visit):
    page = visit(copies=2)
    assert page.locator("input").count() == 2 * 24
    first = page.locator(".dl-interactive").nth(0).inner_html()
    number(page, "v2", copy=1).fill("0.5")
    page.get_by_role("button", name="Step on all four").nth(1).click()
    assert page.locator(".dl-interactive").nth(0).inner_html() == first
    assert state(page, 0)["v2"] == -1 and state(page, 1)["v2"] != -1


def test_no_global_names_and_nothing_moves_by_itself(visit):
    page = visit()
    assert (
        page.evaluate(
            "() => { const frame = document.body.appendChild(document.createElement('iframe')),"
            " plain = new Set(Object.getOwnPropertyNames(frame.contentWindow)); frame.remove();"
            " return Object.getOwnPropertyNames(window).filter(name => !plain.has(name) && !/^(__pw|__playwright|\\d+$)/.test(name)); }"
        )
        == []
    )
    assert page.evaluate("() => document.getAnimations().length") == 0


def test_it_works_where_html_arrives_later(visit, html):
    """JupyterLab puts the HTML into the page, then runs its scripts one by one, while the figures before are alive."""
    page = visit()
    number(page, "v2").fill("0.25")
    page.evaluate(LATER, html)
    assert (state(page, 0)["v2"], state(page, 1)["v2"]) == (0.25, -1)
    number(page, "v2", copy=1).fill("0.5")
    assert (state(page, 0)["v2"], state(page, 1)["v2"]) == (0.25, 0.5)


LATER = """html => {
  const host = document.querySelector("main").appendChild(document.createElement("div"));
  host.innerHTML = html;
  for (const script of [...host.querySelectorAll("script")]) {
    const copy = document.createElement("script");
    for (const { name, value } of script.attributes) copy.setAttribute(name, value);
    copy.textContent = script.textContent;
    script.replaceWith(copy);
  }
}"""
