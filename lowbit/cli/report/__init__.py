"""What verbs print and draw that takes more than a table."""
