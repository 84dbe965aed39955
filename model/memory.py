"""Whether an error says that there is no memory left, whichever library it comes from."""

_SAID = ("not enough memory", "can't allocate memory", "out of memory", "insufficient memory", "bad allocation", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is one of too little memory. Python and NumPy have a class for it, others say it in words."""
    return isinstance(error, MemoryError) or any(said in str(error).lower() for said in _SAID)
