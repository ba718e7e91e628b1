"""The files of the catalogue, and their pages in a browser."""

import json
import re
from itertools import pairwise

import pytest

from gemel.catalogue.content import Numbers
from gemel.catalogue.pages import gather
from gemel.catalogue.series import series
from gemel.catalogue.site import write
from gemel.cli import main
from gemel.errors import ProjectError

# Without these, Chromium contacts hosts of its vendor.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def browser(needs_chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=needs_chromium, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def site(shop):
    """The first page of the shop's catalogue."""
    return write(gather(shop.project, Numbers(series(shop.project), {})), shop.path / "docs")


@pytest.fixture
def page(browser, site):
    """The first page in a browser. A request to another host or an error on the page fails the test."""
    opened = browser.new_page()
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
    )
    opened.goto(site.as_uri())
    yield opened
    opened.close()
    assert not wrong


def test_every_definition_has_a_page_and_every_edge_two_ends(site):
    text = (site.parent / "data" / "index.js").read_text()
    index = json.loads(text.removeprefix("gemel.index(").rstrip().removesuffix(");"))
    names = {(kind, name) for kind, name, *_ in index["nodes"]}
    assert {("metric", "revenue"), ("metric", "return_rate"), ("dimension", "sale__region")} <= names
    assert {
        ("saved_query", "by_region"),
        ("measure", "amount"),
        ("model", "sales"),
        ("column", "sales.amount"),
    } <= names
    flat = json.loads((site.parent / "data" / "edges.js").read_text().removeprefix("gemel.edges(").rstrip()[:-2])
    pairs = {(index["nodes"][flat[i]][1], index["nodes"][flat[i + 1]][1]) for i in range(0, len(flat), 3)}
    assert {("returned", "return_rate"), ("revenue", "by_region"), ("sales.amount", "amount")} <= pairs


def test_a_metric_shows_its_definition_its_sql_and_a_chart_with_the_same_numbers_as_a_table(page):
    page.goto(page.url + "#/metric/return_rate")
    page.get_by_role("heading", name="return_rate").wait_for()
    assert page.locator("dd").first.inner_text() == "ratio"
    page.goto(page.url.partition("#")[0] + "#/metric/revenue")
    page.get_by_role("heading", name="revenue", exact=True).wait_for()
    assert "sales@example.com" in page.locator("dl").inner_text()
    assert "SUM(sales.amount)" in page.locator("pre").inner_text()
    picture = page.locator("[role=img]").get_attribute("aria-label")
    assert picture == ("revenue by week from 2023-07-03 (73.5) to 2024-07-01 (21); minimum 21, maximum 73.5")
    page.get_by_text("As a table").click()
    assert page.get_by_role("row").count() == 54


def test_texts_of_definitions_are_escaped(page):
    page.goto(page.url + "#/dimension/sale__region")
    page.get_by_role("heading", name="sale__region").wait_for()
    assert "<img src=x onerror=alert(1)>" in page.locator("main").inner_text()
    assert page.title() == "sale__region, dimension - Catalogue"
    assert page.locator("main img").count() == 0


def test_the_keyboard_alone_finds_a_metric_and_walks_its_lineage(page):
    page.keyboard.press("/")
    page.keyboard.type("return rate")
    assert page.get_by_role("combobox").get_attribute("aria-expanded") == "true"
    assert page.get_by_role("option", selected=True).inner_text().endswith("return_rate")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="return_rate").wait_for()
    assert page.evaluate("document.activeElement.id") == "content"
    assert page.get_by_role("status").inner_text() == "return_rate, metric"
    page.get_by_role("link", name="Metric returned").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="returned").wait_for()
    assert "There is no chart: its tables have no rows." in page.locator("main").inner_text()


def test_lineage_is_shown_as_lists_too(page):
    page.goto(page.url + "#/metric/revenue")
    page.get_by_text("Lineage as lists").click()
    lists = page.locator("details", has_text="Lineage as lists")
    assert lists.get_by_role("link", name="sales.amount").is_visible()
    assert lists.get_by_role("link", name="by_region").is_visible()


def test_an_unknown_name_has_a_page(page):
    page.goto(page.url + "#/metric/gone")
    page.get_by_role("heading", name="There is no page with this name").wait_for()


def test_a_page_has_its_landmarks_and_every_field_a_label(page):
    page.goto(page.url + "#/metric")
    page.get_by_role("heading", name="Metrics").wait_for()
    for landmark in ("banner", "navigation", "main", "search"):
        assert page.get_by_role(landmark).count() == 1, landmark
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, button, a[href]')].filter(each => "
        "!(each.innerText || each.getAttribute('aria-label') || each.labels?.length)).length"
    )
    assert unnamed == 0
    page.get_by_label("Filter metrics").fill("rate")
    assert page.get_by_role("row").count() == 2  # the heading and return_rate
    assert page.get_by_role("status").inner_text() == "1 of 9 shown"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser, site, scheme):
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    page = browser.new_page(color_scheme=scheme)
    page.goto(site.as_uri() + "#/metric/revenue")
    page.get_by_role("heading", name="revenue", exact=True).wait_for()
    for text in ("h1", "dt", "dd", "dl code", "main a", ".kind", "nav span", "footer p", "summary", "pre code"):
        assert page.locator(text).first.evaluate(CONTRAST) >= 4.5, text
    page.close()


CONTRAST = """element => {
    const parts = color => color.match(/[\\d.]+/g).map(Number);
    const light = color => parts(color).slice(0, 3).map(value => value / 255)
        .map(value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4)
        .reduce((sum, value, i) => sum + value * [.2126, .7152, .0722][i], 0);
    let ground = element;
    while (ground && (parts(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0) ground = ground.parentElement;
    const color = (each, what) => light(getComputedStyle(each)[what]);
    const both = [color(element, "color"), color(ground ?? document.documentElement, "backgroundColor")];
    return (Math.max(...both) + .05) / (Math.min(...both) + .05);
}"""


def test_a_narrow_page_does_not_scroll_sideways(browser, site):
    page = browser.new_page(viewport={"width": 360, "height": 700})
    page.goto(site.as_uri() + "#/metric/revenue")
    page.get_by_role("heading", name="revenue", exact=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_a_chart_on_a_phone_has_texts_that_can_be_read(browser, site):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(site.as_uri() + "#/metric/revenue")
    page.locator(".chart svg").wait_for()
    boxes = page.locator(".chart text").evaluate_all(
        "texts => texts.map(text => text.getBoundingClientRect()).map(({left, right, height}) => [left, right, height])"
    )
    assert min(height for _, _, height in boxes) >= 12
    assert min(left for left, _, _ in boxes) >= 0 and max(right for _, right, _ in boxes) <= 390
    below = sorted((left, right) for left, right, _ in boxes if right - left > 50)
    assert len(below) > 1 and all(end < start for (_, end), (start, _) in pairwise(below))
    page.close()


@pytest.mark.parametrize("width", [390, 1180])
def test_the_lineage_opens_on_its_own_node(browser, site, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(site.as_uri() + "#/metric/revenue")
    page.locator(".graph .focus").wait_for()
    for _ in range(2):
        middle = page.evaluate(
            "[...document.querySelectorAll('.graph, .graph .focus rect')].map(each => each.getBoundingClientRect())"
            ".map(({left, right, width}) => [left, right, width])"
        )
        (left, right, _), (own_left, own_right, own_width) = middle
        assert left <= own_left and own_right <= right and own_width > 0
        page.get_by_role("button", name="One more step upstream").click(force=True)
    page.close()


def test_descriptions_are_rendered_markdown_and_plain_in_lists(page):
    page.goto(page.url + "#/metric/returned")
    page.get_by_role("heading", name="returned", exact=True).wait_for()
    assert page.locator(".lead strong").inner_text() == "taken back"
    assert page.locator(".lead li").all_inner_texts() == ["by month", "not by day"]
    assert page.locator(".lead a").get_attribute("href") == "https://example.com/returns"
    page.goto(page.url.split("#")[0] + "#/metric")
    assert "Goods taken back, see the rules. by month not by day" in page.locator("main").inner_text()


def test_a_catalogue_is_written_again_and_nothing_else_is_overwritten(shop, site):
    content = gather(shop.project, Numbers({}, {}))
    (site.parent / "data" / "details-99.js").write_text("of an older one")
    write(content, site.parent)
    assert not (site.parent / "data" / "details-99.js").exists()
    other = shop.path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(ProjectError, match="is not empty, and is not a catalogue") as refused:
        write(content, other)
    assert refused.value.code == "G608"
    assert (other / "thesis.txt").read_text() == "mine"


def test_no_data_does_not_query_the_database(shop, capfd):
    where = ["--manifest", str(shop.path / "semantic_manifest.json"), "--database", str(shop.path / "gone.duckdb")]
    assert main(["docs", "--no-data", "--output", str(shop.path / "site"), *where]) == 0
    out, err = capfd.readouterr()
    assert out.strip().endswith("index.html")
    assert re.search(r"\d+ pages", err)


def test_without_a_database_definitions_have_pages_and_charts_have_reasons(shop, capfd):
    where = ["--manifest", str(shop.path / "semantic_manifest.json"), "--database", str(shop.path / "gone.duckdb")]
    assert main(["docs", "--output", str(shop.path / "site"), *where]) == 0
    _, err = capfd.readouterr()
    assert "0 metrics with numbers" in err
    assert f"9 metrics without: the DuckDB file {shop.path / 'gone.duckdb'} does not exist" in err


def test_a_metric_can_be_grouped_by_its_names_in_queries(page):
    page.goto(page.url + "#/metric/revenue")
    section = page.locator("section", has=page.get_by_role("heading", name="Can be grouped by"))
    section.wait_for()
    assert section.get_by_role("link").all_inner_texts() == ["sale__sold_at", "sale__region"]
