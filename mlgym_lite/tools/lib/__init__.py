"""The Python behind the agent's tools: standard library only, one short process for each call.

`bin/NAME` starts `start.py NAME ARGUMENT...`, which hands over to `commands`. A command gets its arguments and a
`session.Session`, and answers with the text to print or raises `messages.Refusal`. What must outlive the process (the
open file and the lines shown last) is in $HOME/.mlgym_lite/state.json; there is no server and no lock.

An agent calls a tool at nearly every step, so starting up is most of the cost. That is why these modules do without
dataclasses, typing and pathlib, each of which would double it, and import late what only one command needs.
"""
