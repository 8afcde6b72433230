"""The report in a real browser (Debian's chromium, headless): nothing is asked for, nothing complains, and it fits a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from folders import bmp, put, row, write_lines
from PIL import Image

from beam_jobs.__main__ import main

pytestmark = pytest.mark.engines
ROOT = Path(__file__).resolve().parents[2]
PLANTED = "http://planted.example"  # no such host: a proxy of ours is asked for it


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a dataset whose texts and names would ask for something elsewhere."""
    folder = tmp_path_factory.mktemp("report")
    name = f'"><img onerror=alert(1) src={PLANTED}/name.png>'.replace("/", "_")
    images = [put(folder / f"in/{name}.bmp", bmp()), put(folder / f"in/{'long' * 40}.bmp", bmp(seed=1))]
    texts = [
        f"<script src={PLANTED}/{i}.js></script><style>@import '{PLANTED}/a.css'</style>" + "w" * 300 for i in range(60)
    ]
    rows = [row(text, images, f"<link rel=stylesheet href={PLANTED}/l.css>") for text in texts] + [
        row("x", ["gone.png"])
    ]
    source = write_lines(folder / "in/rows.jsonl", rows)
    target = folder / "report.html"
    assert main(["prepare", "--input", source, "--output", str(folder / "out"), "--report", str(target)]) == 0
    return target


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A proxy that refuses everything -> (its address, the addresses that it was asked for)."""
    addresses = list[str]()

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            addresses.append(self.path)
            self.send_error(404)

        do_CONNECT = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", addresses
    server.shutdown()
    server.server_close()


def opened(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """A page in a chromium of its own, until it has loaded -> its elements as text, and what was logged."""
    chromium = shutil.which("chromium")
    assert chromium, "make test-engines needs chromium (apt-get install chromium): it is not installed"
    usual = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
    ]
    logged = ["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"]
    return subprocess.run(
        [chromium, *usual, *logged, *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )


def test_a_page_asks_for_nothing_and_complains_of_nothing(
    page: Path, tmp_path: Path, asked: tuple[str, list[str]]
) -> None:
    proxy, addresses = asked
    # What would be seen if something were asked for, or complained of:
    guilty = tmp_path / "guilty.html"
    guilty.write_text(f"<img src={PLANTED}/seen.png><script>console.error('a complaint')</script>")
    told = opened(guilty, tmp_path / "profile", f"--proxy-server={proxy}")
    assert [one for one in addresses if PLANTED in one] == [f"{PLANTED}/seen.png"] and "a complaint" in told.stderr

    addresses.clear()
    told = opened(page, tmp_path / "profile", f"--proxy-server={proxy}")
    assert [one for one in addresses if "planted" in one] == [] and "CONSOLE" not in told.stderr, told.stderr
    assert "<details" in told.stdout and "data:image/jpeg" in told.stdout and "<script" not in told.stdout


@pytest.mark.parametrize("width", [360, 1200])
def test_no_page_is_wider_than_its_window(page: Path, tmp_path: Path, width: int) -> None:
    """Nor is a picture broken. A window of a headless chromium is at least some 500 pixels wide, so a frame is measured."""
    frame = tmp_path / "frame.html"
    inner = html.escape(page.read_text(encoding="utf-8"), quote=True)
    measure = (
        "const d = f.contentDocument; document.body.textContent = JSON.stringify({width: d.documentElement.scrollWidth,"
        "pictures: d.images.length, broken: [...d.images].filter(i => !i.naturalWidth).length})"
    )
    frame.write_text(
        f'<meta charset="utf-8"><iframe id="f" style="border:0;width:{width}px;height:900px" srcdoc="{inner}" '
        f'onload="{html.escape(measure, quote=True)}"></iframe>',
        encoding="utf-8",
    )
    told = opened(frame, tmp_path / "profile", "--hide-scrollbars", f"--window-size={max(width, 520)},900").stdout
    measured = json.loads(html.unescape(re.search(r"<body>(.*)</body>", told, re.DOTALL)[1]))  # type: ignore[index]
    assert measured == {"width": width, "pictures": 48 + 2 * 2, "broken": 0}


def test_the_pictures_of_the_readme_are_made_by_their_script(tmp_path: Path, page: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\nfrom make_report_pictures import photograph\n"
        "for dark in (False, True):\n    photograph(Path(sys.argv[2]), 360, 600, dark, Path(sys.argv[3], f'{dark}.png'))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(ROOT / "docs"), str(page), str(tmp_path)], check=True, timeout=120)
    light, dark = (Image.open(tmp_path / f"{name}.png").convert("L") for name in ("False", "True"))
    assert light.size == dark.size == (360, 600)
    assert light.getpixel((2, 2)) == 255 and dark.getpixel((2, 2)) < 40  # type: ignore[operator]
