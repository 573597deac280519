# Gantry's dashboard, and with another command its worker or `migrate`: see compose.yaml.
FROM python:3.11-slim AS build
COPY requirements.txt /build/requirements.txt
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --no-cache-dir --require-hashes --no-deps -r /build/requirements.txt

FROM python:3.11-slim
RUN groupadd --gid 10001 gantry \
    && useradd --uid 10001 --gid gantry --no-create-home --home-dir /tmp --shell /usr/sbin/nologin gantry \
    && install --directory --owner=gantry --group=gantry --mode=0700 /data
COPY --from=build /venv /venv
WORKDIR /app
COPY .streamlit/config.toml .streamlit/config.toml
COPY app.py app.py
COPY pages pages
COPY pipeline pipeline
RUN ["/venv/bin/python", "-m", "compileall", "-q", "pages", "pipeline", "app.py"]
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GANTRY_DATA_DIR=/data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=40s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/healthz', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true"]
