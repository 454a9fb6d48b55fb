"""The edge experiment on the dashboard."""

from dashboard.figures.edge.demo import sections as sections
from dashboard.figures.edge.figures import panels as panels
