"""The browser that pages are tried in."""

from __future__ import annotations

import os
import shutil


def chromium() -> str | None:
    """Its program: the one that CHROMIUM names, else an installed one."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
