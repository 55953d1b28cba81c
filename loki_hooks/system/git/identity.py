"""Who commits where nobody does: what we write for ourselves."""

from __future__ import annotations

NOBODY = {
    "GIT_AUTHOR_NAME": "loki-hooks",
    "GIT_AUTHOR_EMAIL": "loki-hooks@localhost",
    "GIT_COMMITTER_NAME": "loki-hooks",
    "GIT_COMMITTER_EMAIL": "loki-hooks@localhost",
}
