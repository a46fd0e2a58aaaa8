"""Where things lie on this host; the one module that reads the environment for it.

cache   MLGYM_LITE_CACHE, else $XDG_CACHE_HOME/mlgym-lite, else ~/.cache/mlgym-lite: base environments, tools, baselines
data    MLGYM_LITE_DATA, else the folder `data` in the cache: what `mlgym-lite prepare` put there
disk    MLGYM_LITE_LOCAL_DISK, which may hold variables such as $TMPDIR, else none: this node's own, to copy data to
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folders the project keeps things in."""

    cache: Path
    data: Path
    local_disk: Path | None = None


def places(environment: Mapping[str, str] | None = None, *, data: Path | None = None) -> Places:
    """The places for this user; `data` overrides the data folder."""
    known = os.environ if environment is None else environment
    cache = Path(known.get("MLGYM_LITE_CACHE") or _user_cache(known) / "mlgym-lite").expanduser().absolute()
    chosen = data or (Path(known["MLGYM_LITE_DATA"]) if known.get("MLGYM_LITE_DATA") else cache / "data")
    disk = known.get("MLGYM_LITE_LOCAL_DISK")
    return Places(
        cache=cache,
        data=chosen.expanduser().absolute(),
        local_disk=Path(os.path.expandvars(disk)).expanduser().absolute() if disk else None,
    )


def _user_cache(known: Mapping[str, str]) -> Path:
    if known.get("XDG_CACHE_HOME"):
        return Path(known["XDG_CACHE_HOME"])
    return Path(known["HOME"], ".cache") if known.get("HOME") else Path.home() / ".cache"
