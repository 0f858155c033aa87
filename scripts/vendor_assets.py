"""Bring the vendored front-end assets up to date: `make assets`.

Needs npm (for `npm pack` only; nothing is installed and no package script runs). Writes
    static/vendor/<name>-<version>/   minified files and the licence of each package
    static/vendor/manifest.json       name, version, licence and sha256 of each file
    static/icons.svg                  one sprite of the Tabler icons named in ICON_NAMES
    tests/vendor/                     axe-core, for the accessibility tests only
The result is committed, so that running the product needs neither npm nor a network.
To raise a version or add an icon, edit the tables below and run it again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static"


@dataclass(frozen=True)
class Package:
    """One npm package: the folder it goes to is `<name>-<version>`; `files` are paths inside the package."""

    npm: str
    version: str
    name: str
    files: tuple[str, ...]
    home: Path = STATIC / "vendor"


INTER = Package(
    "@fontsource-variable/inter", "5.3.0", "inter",
    ("files/inter-latin-wght-normal.woff2", "files/inter-latin-ext-wght-normal.woff2"),
)  # fmt: skip
ICON_PACKAGE = Package("@tabler/icons", "3.51.0", "tabler-icons", ())
PACKAGES = (
    Package("@tabler/core", "1.6.1", "tabler", ("dist/css/tabler.min.css", "dist/js/tabler.min.js")),
    Package("htmx.org", "2.0.10", "htmx", ("dist/htmx.min.js",)),
    Package("chart.js", "4.6.1", "chartjs", ("dist/chart.umd.min.js",)),
    Package(
        "tom-select", "2.6.2", "tom-select",
        ("dist/js/tom-select.complete.min.js", "dist/css/tom-select.bootstrap5.min.css"),
    ),
    Package("sortablejs", "1.15.7", "sortablejs", ("Sortable.min.js",)),
    INTER,
    Package("axe-core", "4.14.1", "axe-core", ("axe.min.js",), ROOT / "tests" / "vendor"),
)  # fmt: skip

# Outline icons of Tabler, by name. An admin chooses the icon of an activity type from this list as well.
ICON_NAMES = """
activity address-book adjustments alert-circle alert-triangle archive archive-off arrow-back-up arrow-down
arrow-forward-up arrow-left arrow-merge arrow-narrow-right arrow-right arrow-up arrows-exchange arrows-sort at award
ban bell bolt book bookmark box brand-facebook brand-github brand-instagram brand-linkedin brand-slack brand-whatsapp
brand-x brand-youtube briefcase bug building building-store bulb cake calculator calendar calendar-event calendar-plus
camera cash certificate chart-bar chart-dots chart-donut chart-line chart-pie check checkbox checklist checks
chevron-down chevron-left chevron-right chevron-up chevrons-left chevrons-right circle circle-check circle-dashed
circle-dot circle-x clipboard clipboard-check clipboard-list clock clock-hour-4 cloud cloud-check cloud-off cloud-upload
code coffee coin color-swatch columns confetti copy credit-card crown cube currency-dollar currency-euro dashboard
database device-desktop device-floppy device-mobile diamond dots dots-vertical download edit external-link eye
eye-off fidget-spinner file file-export file-import file-spreadsheet file-text file-type-csv files filter filter-off
filter-plus fingerprint flag flame folder forms friends gauge gift git-merge globe grip-vertical hand-click
hash headset heart heart-handshake help help-circle history home id inbox info-circle key keyboard language layout-dashboard
layout-grid layout-list layout-sidebar letter-case lifebuoy link list list-check list-details loader-2 location lock
lock-open login logout magnet mail mail-forward mail-opened map-pin maximize medal menu-2 message message-2
message-circle messages microphone minus mood-happy mood-neutral mood-sad moon news note notes number package
paperclip password pencil phone phone-call phone-incoming phone-off phone-outgoing photo pin pinned pinned-off plane
player-pause player-play plug plus point presentation printer progress-check puzzle question-mark receipt
receipt-refund refresh repeat report report-analytics robot rocket route rss school search select send settings share
shield shield-check shield-lock shopping-cart sitemap sort-ascending sort-descending sparkles speakerphone square-check
star star-filled sun switch-horizontal table tag tags target text-size thumb-down thumb-up ticket timeline toggle-left tool trash
trending-down trending-up trophy truck typography unlink upload user user-check user-circle user-off user-plus user-x
users users-group users-plus variable video wallet webhook wifi-off world x zoom-in
"""

MIT = """MIT License

{copyright}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
SOURCE_MAP = re.compile(rb"\n?(?://[#@] sourceMappingURL=\S+|/\*# sourceMappingURL=[^*]*\*/)\s*")


def fetch(package: Package, workshop: Path) -> Path:
    """Return the unpacked folder of `package`."""
    folder = workshop / package.name
    folder.mkdir()
    wanted = f"{package.npm}@{package.version}"
    subprocess.run(["npm", "pack", "--silent", "--ignore-scripts", wanted], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as tarball:
        tarball.extractall(folder, filter="data")
    return folder / "package"


def licence_text(source: Path, files: tuple[str, ...]) -> str:
    """Return the package's own licence, or the MIT text with the copyright lines of its banner when it ships none."""
    for name in ("LICENSE", "LICENSE.md", "LICENSE.txt"):
        if (source / name).is_file():
            return (source / name).read_text("utf-8")
    banner = (source / files[0]).read_text("utf-8")[:1000]
    if declared(source)["license"] != "MIT":
        raise SystemExit(f"{source}: no licence file, and not MIT")
    return MIT.format(copyright="\n".join(re.findall(r"Copyright [^\n]+", banner)))


def declared(source: Path) -> dict:
    return json.loads((source / "package.json").read_text("utf-8"))


def vendor(package: Package, source: Path) -> dict:
    """Copy one package's files and return its manifest entry."""
    for older in package.home.glob(f"{package.name}-[0-9]*"):
        shutil.rmtree(older)
    target = package.home / f"{package.name}-{package.version}"
    target.mkdir(parents=True)
    for path in package.files:
        content = (source / path).read_bytes()
        if path.endswith((".js", ".css")):
            # collectstatic's manifest refuses a file that names a map which is not there.
            content = SOURCE_MAP.sub(b"\n", content)
        (target / Path(path).name).write_bytes(content)
    (target / "LICENSE").write_text(licence_text(source, package.files), "utf-8")
    if package is INTER:
        (target / "inter.css").write_text(font_faces(source), "utf-8")
    return entry(package, source, target)


def entry(package: Package, source: Path, target: Path) -> dict:
    return {
        "name": package.name,
        "npm": package.npm,
        "version": package.version,
        "licence": declared(source)["license"],
        "files": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(target.iterdir())
        },
    }  # fmt: skip


def font_faces(source: Path) -> str:
    """Return the package's own @font-face rules for the subsets we ship."""
    sheet = (source / "index.css").read_text("utf-8")
    faces = re.findall(r"@font-face \{.*?\}", sheet, re.DOTALL)
    ours = [face for face in faces if any(Path(path).name in face for path in INTER.files)]
    return "\n".join(ours).replace("./files/", "") + "\n"


def sprite(source: Path) -> str:
    """Return one SVG with a <symbol id="tabler-NAME"> per icon. The stroke width is left to CSS."""
    symbols = []
    for name in sorted(ICON_NAMES.split()):
        outline = source / "icons" / "outline" / f"{name}.svg"
        filled = source / "icons" / "filled" / f"{name.removesuffix('-filled')}.svg"
        is_filled = name.endswith("-filled")
        path = filled if is_filled else outline
        if not path.is_file():
            raise SystemExit(f"Tabler has no icon “{name}”. Correct ICON_NAMES in {Path(__file__).name}.")
        svg = ElementTree.fromstring(path.read_text("utf-8"))
        paint = 'fill="currentColor" stroke="none"' if is_filled else (
            'fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round"'
        )  # fmt: skip
        shapes = "".join(shape(child) for child in svg if child.get("d") != "M0 0h24v24H0z")
        symbols.append(f'<symbol id="tabler-{name}" viewBox="0 0 24 24" {paint}>{shapes}</symbol>')
    notice = "<!-- Tabler Icons, MIT licence, (c) Paweł Kuna; see vendor/manifest.json -->"
    return f'<svg xmlns="http://www.w3.org/2000/svg">{notice}\n' + "\n".join(symbols) + "\n</svg>\n"


def shape(element: ElementTree.Element) -> str:
    attributes = " ".join(f'{name}="{value}"' for name, value in element.attrib.items())
    return f"<{element.tag.split('}')[1]} {attributes}/>"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        workshop = Path(scratch)
        manifest = []
        for package in PACKAGES:
            print(f"{package.npm} {package.version}")
            made = vendor(package, fetch(package, workshop))
            if package.home == STATIC / "vendor":
                manifest.append(made)
        source = fetch(ICON_PACKAGE, workshop)
        (STATIC / "icons.svg").write_text(sprite(source), "utf-8")
        manifest.append(vendor(ICON_PACKAGE, source))
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (STATIC / "vendor" / "manifest.json").write_text(text, "utf-8")
    print(f"{len(ICON_NAMES.split())} icons, {len(manifest)} packages")


if __name__ == "__main__":
    main()
