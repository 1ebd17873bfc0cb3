"""The stories: what happened to somebody, told as tests. `pytest scenarios/`."""
