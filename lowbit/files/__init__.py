"""Files as lowbit writes them: whole or not at all, and never over one another."""
