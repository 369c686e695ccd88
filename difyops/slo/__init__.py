"""Goals and error budgets over the history: burn rates in pairs of windows, with least events and exact intervals."""
