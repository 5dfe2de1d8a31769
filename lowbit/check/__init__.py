"""Compare a device with the reference, say where it differs, and name the rule it follows instead."""
