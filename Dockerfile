# The image: the static binary and nothing else. docs/install.md tells how it is built.
FROM scratch
ARG BINARY=target/x86_64-unknown-linux-gnu/release/volgate
COPY ${BINARY} /volgate
ENTRYPOINT ["/volgate"]
