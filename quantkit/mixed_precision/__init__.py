"""Mixed precision: which choice each group of layers gets (`--mode auto`)."""
