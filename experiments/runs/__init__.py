"""How a run is queued, isolated and kept."""
