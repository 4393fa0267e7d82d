"""Which scheme each group of layers gets: what it costs, what it damages, and the search between the two."""
