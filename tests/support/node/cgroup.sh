# Runs a command in a cgroup of its own, called $1, of every kind that this machine has; the rest is the command.
set -eu
name=$1
shift
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    set -- /sys/fs/cgroup : "$@" # cgroup v2: one tree
else
    set -- /sys/fs/cgroup/* : "$@"
fi
while [ "$1" != : ]; do
    tree=$1 own=$1/$name
    shift
    if [ -L "$tree" ] || [ ! -e "$tree/cgroup.procs" ]; then continue; fi
    mkdir -p "$own"
    # A new one of this kind (v1) can be joined only when it has some.
    for file in cpuset.cpus cpuset.mems; do
        if [ -e "$tree/$file" ] && [ -z "$(cat "$own/$file")" ]; then cat "$tree/$file" >"$own/$file"; fi
    done
    echo $$ >"$own/cgroup.procs"
done
shift
exec "$@"
