"""The engine: carries out a plan of tasks as agent sessions in windows, and records how that ended."""
