"""One file a verb; only the verb that is asked for is imported."""
