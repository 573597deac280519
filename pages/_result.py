import streamlit as st
from pages._text import escaped, clipped
def draw_header(run):
    st.subheader(escaped(clipped(run.spec.topic)), anchor=False)
def draw_ended(run):
    st.write(run.status)
