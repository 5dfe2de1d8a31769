"""What implementations disagree on, as data: nothing here computes."""
