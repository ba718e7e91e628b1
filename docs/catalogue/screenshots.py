"""docs/catalogue.md's pictures: the worked example's catalogue in headless Chromium. `make screenshots` runs it."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1]
CHROMIUM = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
PAGES = {"metric": "#/metric/late_rate", "feature_view": "#/feature_view/carrier_punctuality"}


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    if program is None:
        sys.exit("the pictures need Chromium (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        gemel = Path(sys.executable).with_name("gemel")
        subprocess.run([gemel, "docs", "--output", folder], cwd=EXAMPLE, check=True)
        page = play.chromium.launch(executable_path=program, args=CHROMIUM).new_page(
            viewport={"width": 1180, "height": 900}
        )
        for name, address in PAGES.items():
            page.goto(Path(folder, "index.html").as_uri() + address)
            page.locator("h1").wait_for()
            page.wait_for_timeout(300)
            page.screenshot(path=HERE / f"{name}.png")
        page.keyboard.press("/")
        page.keyboard.type("late")
        page.screenshot(path=HERE / "search.png")


if __name__ == "__main__":
    main()
