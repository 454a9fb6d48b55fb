"""tinygrad lab: start it with `streamlit run streamlit_app.py`."""

import streamlit as st

from dashboard import auth, navigation, services, sharing

st.set_page_config(page_title="tinygrad lab", page_icon="⚗️", layout="wide")
auth.require_login()
services.start()
page = st.navigation(navigation.sections(), position="sidebar", expanded=True)
sharing.network_notice()
services.team_notice()
with services.database_errors():
    page.run()
