"""The graph rewrite experiment on the dashboard."""

from dashboard.figures.rewrites.figures import panels as panels
from dashboard.figures.rewrites.figures import point_panels as point_panels
