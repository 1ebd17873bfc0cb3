"""The commands of `seamripper`, one module each; `harness.cli` parses their arguments and stands behind them."""
