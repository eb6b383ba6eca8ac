# One image for every process: web (the default command), worker, bulk, beat and `baton migrate`.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /app
# The environment gets no pip of its own: the image that runs cannot install anything.
RUN python -m venv --without-pip .venv
COPY requirements/runtime.txt requirements/
RUN pip --python .venv/bin/python install --no-cache-dir --require-hashes --requirement requirements/runtime.txt
# Installed in place, so that migrations are found the same way as in a checkout.
COPY . .
RUN PATH="/app/.venv/bin:$PATH" pip --python .venv/bin/python install --no-cache-dir --no-deps \
      --no-build-isolation --editable . \
  && .venv/bin/python -m compileall -q src

FROM python:${PYTHON}-slim
RUN groupadd --system --gid 10001 baton \
  && useradd --system --uid 10001 --gid baton --no-create-home --home-dir /nonexistent baton
WORKDIR /app
COPY --from=build /app /app
ENV PATH="/app/.venv/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8765
# For the default command; a service that runs another one switches it off.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/livez', timeout=2)"]
CMD ["uvicorn", "api.main:app", "--host", "0.0.0.0", "--port", "8765", "--no-access-log", "--timeout-graceful-shutdown", "8", "--no-server-header", "--http", "api.protocol:Protocol", "--ws", "none"]
