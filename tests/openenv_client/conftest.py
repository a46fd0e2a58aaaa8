"""These tests need OpenEnv, which `nox -s openenv` installs."""

from __future__ import annotations

from optional_packages import left_out

collect_ignore_glob = left_out("openenv", ("openenv", "websockets"))
