"""A backend for seamripper to begin one's own with."""
