# One image for the agent, its holder and the controller. It holds nothing but
# the static binaries that `make build` put into bin/, so building it needs no
# network, and there is no shell in it. Manifests name the binary to run.
FROM scratch

ARG VERSION=unknown
LABEL org.opencontainers.image.title="Picket" \
      org.opencontainers.image.description="Fences Kubernetes nodes without a BMC" \
      org.opencontainers.image.source="https://github.com/picket-dev/picket" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"

COPY bin/picket-agent bin/picket-holder bin/picket-controller /usr/local/bin/
