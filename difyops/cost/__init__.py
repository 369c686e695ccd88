"""What the apps cost: leaf rows of the history, dated list prices, money that is never mixed."""

BUDGETS_FILE = "budgets.json"  # beside the configuration file; whoever has none pays nothing for the rest
