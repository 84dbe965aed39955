"""Jobs: work on data that takes longer than a page may. Each is a process of its own, and its folder says what became of it."""
