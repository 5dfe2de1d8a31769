"""The array interface: validates, broadcasts, and hands flat arrays to a kernel."""
