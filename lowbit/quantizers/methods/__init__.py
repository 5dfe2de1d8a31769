"""One file a published method."""
