"""Programs that are mounted into sandboxes: the agent's tools (`bin`, `lib`) and the two ends of a grading (`grading`).

Nothing here is imported by the engine. `bin` holds one small shell program per tool, `lib` the Python behind them; the
engine mounts both at /opt/mlgym, with pyflakes beside the modules of `lib`. The agent can read and run all of it and
change none of it, and nothing that decides a score relies on it: `validate` and `submit` only carry a request.
"""
