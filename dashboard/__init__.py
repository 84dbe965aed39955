"""The dashboard: pages and a JSON API on which runs are started and watched, models promoted, and the endpoint tried."""
