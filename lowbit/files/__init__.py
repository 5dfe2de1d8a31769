"""Files as lowbit writes them: whole or not at all."""
