"""How a choice becomes operators of the graph."""
