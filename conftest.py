"""Loads the plugin in-tree, for a checkout that is not installed."""

pytest_plugins = ["harness.plugin"]
