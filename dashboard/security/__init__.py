"""Who may see and change what: people, sessions, and the guard before every page."""
