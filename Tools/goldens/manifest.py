"""Writes Tests/Goldens/MANIFEST.sha256: one line 'sha256  relative/path' per golden file.

Run it after any other script here. A test checks that every file is listed and unchanged.
"""

import hashlib
from pathlib import Path

GOLDENS = Path(__file__).resolve().parents[2] / "Tests" / "Goldens"
MANIFEST = GOLDENS / "MANIFEST.sha256"


def main() -> None:
    lines = []
    for path in GOLDENS.rglob("*"):
        if path.is_file() and path != MANIFEST:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append((path.relative_to(GOLDENS).as_posix(), digest))
    lines.sort(key=lambda line: line[0].encode())
    MANIFEST.write_text("".join(f"{digest}  {name}\n" for name, digest in lines))
    print(f"{len(lines)} files")


if __name__ == "__main__":
    main()
