"""The pages of the dashboard: pure functions from rows of a store to HTML."""
