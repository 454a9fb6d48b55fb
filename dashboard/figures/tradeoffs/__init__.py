"""The trade-off study on the dashboard."""

from dashboard.figures.tradeoffs.figures import compared_panels as compared_panels
from dashboard.figures.tradeoffs.figures import panels as panels
from dashboard.figures.tradeoffs.figures import point_panels as point_panels
from dashboard.figures.tradeoffs.overview_section import overview as overview
from dashboard.figures.tradeoffs.recommendation import point_sections as point_sections
