"""Pure functions from a DAG or a run's history to what people look at."""
