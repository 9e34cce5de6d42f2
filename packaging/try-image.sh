#!/usr/bin/env bash
# Makes the images of the Dockerfile for linux/amd64 and linux/arm64 without a daemon and without a registry, and tries them:
# by buildah, over a base that debootstrap makes and that gets the name in the Dockerfile. Loads the archive into a containerd,
# as `kind load image-archive` and `k3s ctr images import` do. Root on Debian 12 (amd64), with Rust by rustup; what else is
# needed it installs. Takes some 40 minutes on two cores; all it makes is in target/image.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/target/image
base=docker.io/library/rust:1.95-slim-bookworm
# Of the image as a registry has it, compressed.
limit=$((15 * 1024 * 1024))
mkdir -p "$work"

step() {
    echo "=== $1 (after ${SECONDS} s)"
}
buildah() {
    command buildah --root "$work/storage" --runroot "$work/run" "$@"
}

step "packages"
apt-get install --quiet --yes --no-install-recommends buildah debootstrap qemu-user-static gcc-aarch64-linux-gnu \
    libc6-dev-arm64-cross containerd > "$work/apt.log"

if ! buildah inspect --type image "$base" > /dev/null 2>&1; then
    step "the base: Debian 12 with gcc, and Rust as it is installed here"
    rm -rf "$work/base"
    debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates bookworm "$work/base" > "$work/debootstrap.log"
    cp -a "$(rustc --print sysroot)/." "$work/base/usr/local/"
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$work/base" /
    # The crates are those that cargo has fetched here: a build of an image needs nobody then.
    buildah config --env CARGO_NET_OFFLINE=true --env CARGO_HOME=/cargo "$container"
    buildah commit --quiet "$container" "$base"
    buildah rm "$container" > /dev/null
    rm -rf "$work/base"
fi

step "a clean checkout"
rm -rf "$work/context"
mkdir "$work/context"
git archive HEAD | tar -x -C "$work/context"
commit=$(git rev-parse HEAD)
cargo fetch --locked

step "linux/amd64: docker build ."
buildah bud --isolation chroot --pull-never --volume "${CARGO_HOME:-$HOME/.cargo}/registry:/cargo/registry" \
    --build-arg "VOLGATE_COMMIT=$commit" --tag volgate:amd64 "$work/context" > "$work/amd64.log" 2>&1 || {
    tail -n 30 "$work/amd64.log" >&2
    exit 1
}

step "linux/arm64: Debian's cross compiler, docker build --target built ."
(cd "$work/context" && VOLGATE_COMMIT=$commit CARGO_TARGET_DIR="$work/arm64" packaging/build.sh arm64)
buildah bud --isolation chroot --pull-never --platform linux/arm64 --target built --tag volgate:arm64 \
    "$work/context"

try() {
    local arch=$1 mounted container size status=0
    shift
    container=$(buildah from --pull-never "volgate:$arch")
    mounted=$(buildah mount "$container")
    size=$(tar -c -C "$mounted" . | gzip | wc -c)
    echo "volgate:$arch has $(du --bytes --summarize "$mounted" | cut -f1) bytes of files, $size compressed: $(cd "$mounted" && find . -type f)"
    [ "$size" -le "$limit" ]
    "$@" "$mounted/volgate" version | tee "$work/version.txt"
    grep -q "commit: $commit" "$work/version.txt"
    "$@" "$mounted/volgate" check "$work/context/examples/redis" || status=$?
    [ "$status" -eq 1 ]
    buildah rm "$container" > /dev/null
    buildah inspect --type image --format '{{.OCIv1.Architecture}} {{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{len .OCIv1.Config.Labels}}' \
        "volgate:$arch" | tee "$work/config.txt"
    grep -qE "^$arch 65532:65532 \[/volgate\]" "$work/config.txt"
}
step "the images run"
try amd64
try arm64 qemu-aarch64-static

step "an archive, loaded into containerd"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=docker.io/library/volgate:$version
rm -f "$work/volgate-amd64.tar"
buildah push --quiet volgate:amd64 "docker-archive:$work/volgate-amd64.tar:$name"
socket=$work/containerd.sock
containerd --root "$work/containerd" --state "$work/containerd-state" --address "$socket" > "$work/containerd.log" 2>&1 &
trap 'kill %1' EXIT
until ctr --address "$socket" version > /dev/null 2>&1; do sleep 0.2; done
ctr --address "$socket" --namespace k8s.io images import "$work/volgate-amd64.tar"
ctr --address "$socket" --namespace k8s.io images ls --quiet | grep -qx "$name"

step "all of it passed"
