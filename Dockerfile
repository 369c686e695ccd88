# One image for all that difyops does: cron jobs, fleets, the webhook server.
#   docker build -t difyops .
#   docker run --rm --read-only --tmpfs /tmp --env-file prod.env -v difyops-state:/var/lib/difyops \
#     -v difyops-store:/srv/difyops difyops snapshot create -q
# It runs as user 10001 and writes into its two volumes and /tmp, nowhere else. A configuration is read from
# /etc/difyops/config.yaml, which must belong to root or to 10001. For the webhook server: deploy/compose.yaml.
FROM python:3.13-slim AS built
WORKDIR /src
RUN python -m venv /opt/difyops
COPY requirements/image.lock requirements/
RUN /opt/difyops/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/image.lock
COPY . .
RUN /opt/difyops/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/difyops/bin/pip uninstall --yes hatchling editables pip

FROM python:3.13-slim
# git is what snapshots are kept with, the SSH client is for "snapshot push"; Debian keeps one version of each
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 difyops \
    && useradd --system --uid 10001 --gid difyops --home-dir /var/lib/difyops --shell /usr/sbin/nologin difyops \
    && install --directory --owner difyops --group difyops --mode 0700 /var/lib/difyops /srv/difyops
COPY --from=built /opt/difyops /opt/difyops
ENV PATH=/opt/difyops/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/var/lib/difyops \
    XDG_CONFIG_HOME=/etc \
    DIFYOPS_STATE=/var/lib/difyops/state \
    DIFYOPS_STATE_FOLDER=/var/lib/difyops/state \
    DIFYOPS_STORE=/srv/difyops/store \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /srv/difyops
VOLUME ["/var/lib/difyops", "/srv/difyops"]
EXPOSE 8099
ENTRYPOINT ["difyops"]
CMD ["--help"]
