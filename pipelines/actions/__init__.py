"""What a person can ask for, as one list: each action is a function with typed arguments and result, and an address.

    action.py    what an action is, and where it is done: on this machine, or by the dashboard that GLOCAL_SERVER names
    runs.py, models.py, data.py, endpoint.py      the actions

The command line calls `ask(action, ...)`; the dashboard's JSON API has an address for each action in `ACTIONS`.
"""
