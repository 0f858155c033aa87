"""Pages of the organization itself, one module per noun."""
