#!/usr/bin/env bash
# Writes the krew manifest of a release: krew.sh VERSION HOMEPAGE BASE_URL ARCHIVE… > volgate.yaml
# An archive is named volgate-OS-ARCH.tar.gz and holds kubectl-volgate and LICENSE; BASE_URL is the folder that it is served from.
set -euo pipefail

if [ "$#" -lt 4 ]; then
    echo "usage: $0 VERSION HOMEPAGE BASE_URL ARCHIVE…" >&2
    exit 2
fi
version=$1 homepage=$2 base=$3
shift 3

cat <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: volgate
spec:
  version: v${version#v}
  homepage: $homepage
  shortDescription: Finds workloads whose data would be lost
  description: |
    Judges manifests, and what runs in a cluster, by what has to be deleted for its data to be lost:
    databases on emptyDir, volumes that go with their claim, claims that several pods write to.
    \`kubectl volgate check\` judges files, \`kubectl volgate audit\` a cluster.
  platforms:
EOF
for archive in "$@"; do
    name=$(basename "$archive" .tar.gz)
    IFS=- read -r _ os arch <<< "$name"
    if [ -z "${arch:-}" ]; then
        echo "$archive is not named volgate-OS-ARCH.tar.gz" >&2
        exit 2
    fi
    cat <<EOF
    - selector: {matchLabels: {os: $os, arch: $arch}}
      uri: $base/$name.tar.gz
      sha256: $(sha256sum "$archive" | cut -d' ' -f1)
      files:
        - {from: kubectl-volgate, to: .}
        - {from: LICENSE, to: .}
      bin: kubectl-volgate
EOF
done
