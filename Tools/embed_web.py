#!/usr/bin/env python3
"""Writes the page's files into Sources/YuyanServe/HTTP/WebAssets.swift, so that the binary holds them.

Run it after every change of a file in Sources/YuyanServe/Web; a test compares the two.
"""

import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
WEB = pathlib.Path(__file__).resolve().parent.parent / "Sources" / "YuyanServe" / "Web"

HEAD = """\
// swift-format-ignore-file
// Written by Tools/embed_web.py from the files of the folder Web; change those.

/// A file of the page.
struct WebAsset: Sendable {
    let name: String
    let type: String
    let entityTag: String
    let text: String
}

/// The page's files, in the order of their names.
enum WebAssets {
    static let all: [WebAsset] = [%s]

    static let names = all.map(\\.name)
}
"""


def literal(text):
    """A Swift literal of the text, with as many # as it takes."""
    marks = "#"
    while '"""' + marks in text or "\\" + marks in text:
        marks += "#"
    return f'{marks}"""\n{text}\n"""{marks}'


def main():
    assets = []
    for path in sorted(WEB.iterdir()):
        if path.suffix not in TYPES:
            continue
        data = path.read_bytes()
        text = data.decode("utf-8")
        if "\r" in text or "\0" in text:
            sys.exit(f"{path.name}: holds a carriage return or NUL; use line feeds alone")
        tag = hashlib.sha256(data).hexdigest()[:16]
        assets.append(
            f'\n        WebAsset(\n            name: "{path.name}", type: "{TYPES[path.suffix]}",'
            f' entityTag: "\\"{tag}\\"",\n            text: {literal(text)})'
        )
    (WEB.parent / "HTTP" / "WebAssets.swift").write_text(HEAD % ",".join(assets + [""] if assets else []), "utf-8")


main()
