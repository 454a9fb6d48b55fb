"""What the trade-off study is made of: its grid, its measuring, and what is picked from its rows."""
