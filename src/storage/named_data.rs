//! What paths and the names of pod volumes say of what lies there.

use super::mounted_file::is_file;
use crate::catalog::ImageRef;
use crate::facts::{Container, Mount};
use crate::json::Node;
use crate::model::FsPath;

/// Paths that hold nothing worth keeping in any image.
const SCRATCH: [&str; 13] = [
    "/dev",
    "/etc/localtime",
    "/etc/timezone",
    "/lib/modules",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/var/cache",
    "/var/lock",
    "/var/log",
    "/var/run",
    "/var/tmp",
];

/// Names of directories and of pod volumes that say that data lies there.
const DATA_NAMES: [&str; 12] = [
    "attachments",
    "backups",
    "data",
    "database",
    "datadir",
    "datastore",
    "db",
    "dbdata",
    "saves",
    "storage",
    "uploads",
    "worlds",
];
/// Words that say the opposite, in the last directory of a path or in the name of a pod volume.
const SCRATCH_NAMES: [&str; 38] = [
    "cache",
    "caches",
    "cert",
    "certs",
    "conf",
    "config",
    "connector",
    "downloads",
    "driver",
    "home",
    "init",
    "initdb",
    "jar",
    "jars",
    "log",
    "logs",
    "metrics",
    "model",
    "models",
    "multiproc",
    "nginx",
    "plugins",
    "run",
    "runtime",
    "scratch",
    "script",
    "scripts",
    "shared",
    "socket",
    "sockets",
    "ssl",
    "static",
    "temp",
    "tls",
    "tmp",
    "tmpdir",
    "work",
    "workdir",
];
/// The name that charts give to the one pod volume for all that is scratch.
const EMPTY_DIR: &str = "empty-dir";
/// Directories in /var/lib whose owners keep nothing there that must last, or are no product's at all.
const NO_STATE: [&str; 17] = [
    "alternatives",
    "apt",
    "containerd",
    "containers",
    "csi",
    "dbus",
    "docker",
    "dpkg",
    "frr",
    "haproxy",
    "istio",
    "kubelet",
    "logrotate",
    "nginx",
    "sudo",
    "systemd",
    "varnish",
];

/// Whether a mount says by its path or by the name of its pod volume that data lies there: `/data`, `/srv/db`,
/// `/var/lib/app`, and what lies in `/data`; a pod volume `storage` or `app-data`. One file is no directory for data.
pub fn is_named_data(mount: &Mount<'_>) -> bool {
    !is_file(mount) && is_called_data(mount.path.as_str(), mount.volume)
}

fn is_called_data(path: &str, volume: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let has_word = |name: &str, of: &[&str]| name.split(['-', '_', '.']).any(|word| of.contains(&word));
    if volume == EMPTY_DIR || has_word(last, &SCRATCH_NAMES) || has_word(volume, &SCRATCH_NAMES) {
        return false;
    }
    // `/cache/data` and `/tmp/db` are parts of what holds nothing to keep.
    if path.split('/').any(|part| ["scratch", "temp", "tmp"].contains(&part) || part.ends_with("cache")) {
        return false;
    }
    let rest = ["/var/lib/", "/var/opt/"].iter().find_map(|root| path.strip_prefix(root));
    if rest.is_some_and(|rest| rest.split('/').next().is_some_and(|owner| NO_STATE.contains(&owner))) {
        return false;
    }
    if let Some(beneath) = path.strip_prefix("/data/") {
        return !beneath.split('/').any(|part| has_word(part, &SCRATCH_NAMES));
    }
    has_word(last, &DATA_NAMES) || has_word(volume, &DATA_NAMES) || rest.is_some()
}

/// Whether the path of a mount says that data lies there though its pod volume is called `tmp`. Of a StatefulSet alone: elsewhere
/// the name is as good.
pub fn is_data_in_tmp(mount: &Mount<'_>) -> bool {
    let is_tmp = mount.volume.split(['-', '_', '.']).any(|word| ["temp", "tmp", "tmpdir"].contains(&word));
    is_tmp && !is_file(mount) && is_called_data(mount.path.as_str(), "")
}

/// The last words of images' names that say that a database is inside.
pub const DATABASES: [&str; 10] =
    ["database", "db", "mariadb", "mongo", "mongodb", "mysql", "pgsql", "postgres", "postgresql", "redis"];
/// Words that say that it is something beside one: `zabbix-server-mysql`, `backup-postgres`.
const BESIDE_DATABASES: [&str; 29] = [
    "admin",
    "agent",
    "api",
    "apache",
    "backend",
    "backup",
    "cli",
    "client",
    "connect",
    "connector",
    "dump",
    "exporter",
    "for",
    "haproxy",
    "init",
    "loader",
    "migrate",
    "migration",
    "nginx",
    "operator",
    "proxy",
    "server",
    "sync",
    "test",
    "tools",
    "ui",
    "wait",
    "web",
    "with",
];

/// Whether an image is called as people call what they build from a database's image: `catalogue-db`, `shop-mongodb`.
pub(super) fn is_called_like_a_database(image: &str) -> bool {
    let Some(image) = ImageRef::parse(image) else { return false };
    let words = || image.name().split(['-', '_', '.']);
    words().next_back().is_some_and(|last| DATABASES.contains(&last))
        && !words().any(|word| BESIDE_DATABASES.contains(&word))
}

/// Words in the names of containers and images that keep nothing by themselves.
const STATELESS: [&str; 25] = [
    "agent",
    "api",
    "balancer",
    "consumer",
    "controller",
    "executor",
    "exporter",
    "frontend",
    "gateway",
    "httpd",
    "ingress",
    "invoker",
    "manager",
    "mcrouter",
    "nginx",
    "operator",
    "pause",
    "producer",
    "proxy",
    "router",
    "scheduler",
    "sentinel",
    "transport",
    "webhook",
    "worker",
];

/// Whether a container, or its image, is called like something that keeps nothing by itself: `manager`, `http-transport`.
pub fn is_called_stateless(container: &Container<'_>) -> bool {
    let image = ImageRef::parse(container.image);
    let names = [Some(container.name), image.as_ref().map(ImageRef::name)];
    let words = || names.into_iter().flatten().flat_map(|name| name.split(['-', '_', '.']));
    words().any(|word| STATELESS.contains(&word)) && !words().any(|word| DATABASES.contains(&word))
}

/// The ports of the databases that the names above are about.
const DATABASE_PORTS: [i64; 7] = [3306, 3307, 5432, 5433, 6379, 27017, 27018];

/// Whether a container may listen as a database does: what names only other ports is something beside one, such as an
/// application that is built for it.
pub(super) fn may_listen_as_a_database(container: &Container<'_>) -> bool {
    let ports = container.node.get("ports").map(Node::items).into_iter().flatten();
    let mut ports = ports.filter_map(|port| port.get("containerPort").and_then(Node::as_i64)).peekable();
    ports.peek().is_none() || ports.any(|port| DATABASE_PORTS.contains(&port))
}

pub(super) fn is_scratch(path: &FsPath<'_>, scratch: &[String]) -> bool {
    SCRATCH.into_iter().any(|outer| FsPath::new(outer).covers(path)) || is_named_scratch(path, scratch)
}

/// Whether a policy calls the path scratch.
pub(super) fn is_named_scratch(path: &FsPath<'_>, scratch: &[String]) -> bool {
    scratch.iter().any(|outer| FsPath::new(outer).covers(path))
}

#[cfg(test)]
mod tests {
    use super::is_called_like_a_database;

    #[test]
    fn images_are_called_like_what_is_in_them() {
        for image in
            ["weaveworksdemos/catalogue-db:0.3.0", "robotshop/rs-mysql-db", "user_db", "shop/db@sha256:00"]
        {
            assert!(is_called_like_a_database(image), "{image}");
        }
        for image in [
            "zabbix/zabbix-server-mysql",
            "devpro/terraform-backend-mongodb",
            "tiredofit/db-backup",
            "shop/migrate-db",
            "php-with-mysql",
            "influx",
            "db-ui",
            "",
        ] {
            assert!(!is_called_like_a_database(image), "{image}");
        }
    }
}
