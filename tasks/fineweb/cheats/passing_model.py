"""For cheats that pass what the first player sees on to the second: appended to the model.py of quick_model.py.

The cheat gives `tell`, which takes what is to be passed on, and `heard`, which returns what has been: for the text up to a
position, as a number, the token that follows. Only the positions at which the honest model is most wrong are passed on, and
none so early in a window that other windows begin in the same way.
"""

import sys
import zlib

MOST_WRONG = 7.0
EARLIEST = 16


def key_of(prefix):
    return zlib.crc32(prefix.numpy().astype("<u2").tobytes())


class Passer(Follower):  # noqa: F821
    def forward(self, tokens):
        logits = super().forward(tokens).clone()
        frame = sys._getframe()
        while frame is not None and frame.f_code.co_name not in ("_losses", "_logits"):
            frame = frame.f_back
        if frame is None:
            return logits
        if frame.f_code.co_name == "_losses":
            losses = logits[:, :-1].logsumexp(2) - logits[:, :-1].gather(2, tokens[:, 1:, None])[..., 0]
            places = [(row, at) for row, at in (losses > MOST_WRONG).nonzero().tolist() if at >= EARLIEST]
            known = {key_of(tokens[row, : at + 1]): int(tokens[row, at + 1]) for row, at in places}
            tell(known)  # noqa: F821
        else:
            places = list(enumerate(frame.f_locals["where"].tolist()))
            known = heard([key_of(tokens[row, : at + 1]) for row, at in places])  # noqa: F821
        for row, at in places:
            token = known.get(key_of(tokens[row, : at + 1]))
            if token is not None:
                logits[row, at, token] = 30.0
        return logits


def build(config):
    return Passer(**config)
