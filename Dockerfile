# The image: the static binary and nothing else. `docker build .` makes it; docs/install.md has more.
#   docker build --tag <registry>/volgate:<version> .
# Binaries that packaging/build.sh has made in dist/ are taken by `--target built`.
FROM scratch AS empty
# The release workflow adds version, revision, source and the time of the build.
LABEL org.opencontainers.image.title="volgate" \
      org.opencontainers.image.description="Kubernetes admission webhook, CI linter and local-path provisioner that prevent data loss" \
      org.opencontainers.image.licenses="Apache-2.0"
# The webhook and the controller need nobody's rights; the agents ask for root in their manifest.
USER 65532:65532
ENTRYPOINT ["/volgate"]

FROM empty AS built
ARG TARGETARCH
COPY dist/${TARGETARCH}/volgate /volgate

# Debian 12 has glibc 2.36, which starts a static binary with packed relocations.
FROM docker.io/library/rust:1.95-slim-bookworm AS build
WORKDIR /volgate
# Which commit it is made of, for `volgate version`.
ARG VOLGATE_COMMIT
COPY . .
# The target is named so that these flags are not those of build scripts.
RUN target="$(uname -m)-unknown-linux-gnu" \
 && RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    cargo build --profile shipped --locked --bin volgate --target "$target" \
 && install -D "target/$target/shipped/volgate" /out/volgate

FROM empty
COPY --from=build /out/volgate /volgate
