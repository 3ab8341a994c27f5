# The service in a container: dependencies are installed in the first stage, the second holds what runs.
#   docker build -t graphspec .
#   docker run --rm -p 127.0.0.1:8000:8000 -v graphspec:/data graphspec
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY VERSION constraints.txt ./
COPY graphspec graphspec
COPY server server
RUN python -m venv --without-pip /opt/graphspec \
 && python -m pip --python /opt/graphspec/bin/python install --no-cache-dir -c constraints.txt "./graphspec[image]" ./server

FROM ${BASE}
COPY --from=build /opt/graphspec /opt/graphspec
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin graphspec \
 && install -d -o graphspec -g graphspec /data
# Inside the container the service listens on every address, and without API keys lets everybody in: who can reach
# it is decided where the port is published. Publish it wider than loopback with keys only: they are asked for as
# soon as GRAPHSPEC_API_KEYS holds their entries (docker run --rm graphspec graphspec-server new-key NAME makes one),
# and with GRAPHSPEC_ALLOW_ANONYMOUS=0 the container does not start without.
ENV PATH=/opt/graphspec/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GRAPHSPEC_HOST=0.0.0.0 \
    GRAPHSPEC_PORT=8000 \
    GRAPHSPEC_REPOSITORY=/data \
    GRAPHSPEC_ALLOW_ANONYMOUS=1
USER 10001:10001
WORKDIR /tmp
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['GRAPHSPEC_PORT'] + '/v2/health/live', timeout=4)"]
CMD ["graphspec-server"]
