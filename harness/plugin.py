"""The pytest plugin: fixtures, options and markers."""
