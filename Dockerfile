# The image: the static binary and nothing else. `docker build .` makes it; docs/install.md has more.
#   docker build --tag <registry>/volgate:<version> .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag … --push .
# A binary that was built already is taken by `--build-arg FROM_STAGE=built --build-arg BINARY=<path>`.
ARG FROM_STAGE=build

# Debian 12 has glibc 2.36, which starts a static binary with packed relocations.
FROM docker.io/library/rust:1.95-slim-bookworm AS build
WORKDIR /volgate
COPY . .
# The target is named so that these flags are not those of build scripts.
RUN target="$(uname -m)-unknown-linux-gnu" \
 && RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    cargo build --release --locked --bin volgate --target "$target" \
 && install -D "target/$target/release/volgate" /out/volgate

FROM scratch AS built
ARG BINARY=target/x86_64-unknown-linux-gnu/release/volgate
COPY ${BINARY} /out/volgate

FROM ${FROM_STAGE} AS binary

FROM scratch
LABEL org.opencontainers.image.title="volgate" \
      org.opencontainers.image.description="Admission webhook, policies and local-path provisioner that prevent accidental loss of data in Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=binary /out/volgate /volgate
# The webhook and the controller need nobody's rights; the agents ask for root in their manifest.
USER 65532:65532
ENTRYPOINT ["/volgate"]
