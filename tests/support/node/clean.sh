# Removes all that nodes of the tests leave outside of their own namespaces. $1 is the name of what they used, $2 their
# directory; $3 is "wait" to begin only when the standard input ends.
keep=0
if [ "$3" = wait ]; then
    keep=${VOLGATE_KEEP_CLUSTER:-0}
    read -r _
fi

for file in $(grep -lsz "^machine-of-$1\$" /proc/[0-9]*/cmdline); do
    pid=${file#/proc/}
    kill -s KILL "${pid%/cmdline}"
done

# Loop devices with the device and inode of what they are made over.
loops() { losetup --list --noheadings --raw --output NAME,BACK-MAJ:MIN,BACK-INO | sed 's/\\x20//g'; }

# Those over the files in $1, and first those that the kubelet makes over such a device.
detach() {
    loops | while read -r loop device inode; do
        [ "$device" = "$(stat --format=%Hd:%Ld "$1")" ] || continue
        [ -n "$(find "$1" -xdev -inum "$inode")" ] || continue
        loops | grep " $(stat --format='%Hd:%Ld %i' "$loop")\$" | while read -r upper rest; do
            losetup --detach "$upper" || exit 1
        done || exit 1
        losetup --detach "$loop" || exit 1
    done
}

left() {
    ! { grep -qsz "^machine-of-$1\$" /proc/[0-9]*/cmdline; } || return 0
    for dir in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
        [ ! -d "$dir" ] || find "$dir" -depth -type d -exec rmdir {} \;
        [ ! -d "$dir" ] || return 0
    done
    # The bridge, and what leads to the machines: their networks may live on for a minute, for connections that end.
    for link in /sys/class/net/"$1" /sys/class/net/"$1"-*; do
        [ ! -d "$link" ] || ip link delete "${link##*/}" || return 0
    done
    [ -d "$2" ] || return 1
    detach "$2" || return 0
    [ "$keep" = 1 ] || rm -rf --one-file-system -- "$2" || return 0
    return 1
}

tries=0
while left "$1" "$2" && [ "$tries" -lt 150 ]; do
    tries=$((tries + 1))
    sleep 0.1
done 2>/dev/null
if left "$1" "$2"; then
    echo "there still are processes, cgroups, links or files of $1" >&2
    exit 1
fi
