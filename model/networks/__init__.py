"""Networks: trunk, attention, pooling, heads, and the methods composed of them."""
