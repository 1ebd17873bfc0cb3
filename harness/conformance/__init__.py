"""The conformance kit: whether somebody's backend keeps the contract of the seam, check by check."""
