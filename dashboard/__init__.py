"""The pages: everything that imports streamlit or plotly."""
