"""Research questions asked of a finished grid: pure statistics, and what reads and writes their files."""
