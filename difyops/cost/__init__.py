"""What the apps cost: leaf rows of the history, dated list prices, money that is never mixed."""
