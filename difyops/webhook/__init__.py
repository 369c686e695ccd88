"""The only long-running server of difyops: events in, runs that call back, and a watch over the runs of others."""
