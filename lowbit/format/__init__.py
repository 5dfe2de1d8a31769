"""What a number is: formats as data, and where they come from."""
