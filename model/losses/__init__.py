"""Training losses: one loss term in each file, the register of all terms in `terms.py`, their weighted sum in `hybrid.py`."""
