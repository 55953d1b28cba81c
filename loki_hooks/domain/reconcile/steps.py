"""All that a pass can do: each step is declared beside the decider that makes it."""

from __future__ import annotations

from loki_hooks.domain.reconcile.follow import Follow
from loki_hooks.domain.reconcile.gates import Cancel, Test
from loki_hooks.domain.reconcile.landing import Forward, Land, Propose, PushTip
from loki_hooks.domain.reconcile.removal import Clean
from loki_hooks.domain.reconcile.sessions import Fail, GivenUp, Start
from loki_hooks.domain.reconcile.streams import (
    Adopt,
    Anew,
    Moved,
    Note,
    Prepare,
    Ready,
    Renamed,
    Seen,
    SeenMerged,
    SetUp,
    Unseen,
    Vanished,
)
from loki_hooks.domain.reconcile.train import Conflict, LetPass, Reject
from loki_hooks.domain.reconcile.writing import Begin, CloseItems, Rest

OfStreams = Unseen | Seen | Adopt | SetUp | Prepare | Moved | Renamed | Anew | Vanished | SeenMerged | Ready | Note
OfTrain = Conflict | Test | Cancel | LetPass | Reject
OfLanding = Land | Propose | Forward | PushTip | Follow
Step = OfStreams | Fail | GivenUp | Start | OfTrain | OfLanding | CloseItems | Rest | Begin | Clean
