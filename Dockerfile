# The three services, and `cdc`, which looks after them; each is an image of its own.
#
#   docker build --target inventory-service --tag inventory-service .     # analytics-service, search-indexer, cdc
#
# All four are built once, in `build`, so the second image takes no time. With binaries that are there already (made for
# Debian 12 or older), nothing is built:
#
#   docker build --build-context binaries=target/release --target cdc --tag cdc .

# The version in rust-toolchain.toml.
FROM rust:1.95.0-bookworm AS build
# Otherwise rustup would fetch what rust-toolchain.toml asks for, with lints and formatter.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked \
      --bin inventory-service --bin analytics-service --bin search-indexer --bin cdc \
    && install -D --strip --target-directory=/out \
      target/release/inventory-service target/release/analytics-service target/release/search-indexer target/release/cdc

FROM scratch AS binaries
COPY --from=build /out/ /

# glibc, libgcc and certificates; no shell, no package manager. Nothing is ever written outside of mounted folders.
FROM gcr.io/distroless/cc-debian12:nonroot AS base
# Version and revision are the builder's to say: docker build --label org.opencontainers.image.version=...
LABEL org.opencontainers.image.vendor="CDC consumer platform" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number: Kubernetes cannot tell from a name that it is not root.
USER 65532:65532
# /metrics, /health/live, /health/ready
EXPOSE 9090

FROM base AS inventory-service
LABEL org.opencontainers.image.title="inventory-service" \
      org.opencontainers.image.description="Stock and low-stock alerts in DynamoDB, from Debezium's change events"
COPY --from=binaries --chmod=0755 /inventory-service /usr/local/bin/inventory-service
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/inventory-service", "health"]
ENTRYPOINT ["/usr/local/bin/inventory-service"]

FROM base AS analytics-service
LABEL org.opencontainers.image.title="analytics-service" \
      org.opencontainers.image.description="Sales reports in S3, from Debezium's change events"
COPY --from=binaries --chmod=0755 /analytics-service /usr/local/bin/analytics-service
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/analytics-service", "health"]
ENTRYPOINT ["/usr/local/bin/analytics-service"]

FROM base AS search-indexer
LABEL org.opencontainers.image.title="search-indexer" \
      org.opencontainers.image.description="Product search in DynamoDB, from Debezium's change events"
COPY --from=binaries --chmod=0755 /search-indexer /usr/local/bin/search-indexer
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/search-indexer", "health"]
ENTRYPOINT ["/usr/local/bin/search-indexer"]

# Commands that end: no health check.
FROM base AS cdc
LABEL org.opencontainers.image.title="cdc" \
      org.opencontainers.image.description="verify, doctor, dlq and the other commands for the three services"
COPY --from=binaries --chmod=0755 /cdc /usr/local/bin/cdc
ENTRYPOINT ["/usr/local/bin/cdc"]
