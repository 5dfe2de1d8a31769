"""The flags of vectors: what each row is there for, and which bug it is made to catch."""
