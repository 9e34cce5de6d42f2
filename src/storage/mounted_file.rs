//! Mounts of one file: settings, a key, a program, which an init container or another image puts there.

use crate::facts::Mount;

/// Ends of files that are settings, keys, scripts or parts of a program. A database's file has none of them.
const ENDS: [&str; 37] = [
    "bat",
    "cer",
    "cfg",
    "cnf",
    "conf",
    "config",
    "crt",
    "css",
    "csv",
    "env",
    "hcl",
    "htm",
    "html",
    "ini",
    "jar",
    "jks",
    "js",
    "json",
    "key",
    "lua",
    "md",
    "p12",
    "pem",
    "php",
    "pid",
    "properties",
    "ps1",
    "pub",
    "py",
    "rb",
    "sh",
    "so",
    "toml",
    "txt",
    "xml",
    "yaml",
    "yml",
];
/// Files with a dot in front, where `.ethereum` and its like are directories.
const DOT_FILES: [&str; 13] = [
    ".bash_profile",
    ".bashrc",
    ".curlrc",
    ".env",
    ".gitconfig",
    ".htaccess",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".profile",
    ".vimrc",
    ".wgetrc",
];
/// Directories that hold programs.
const PROGRAMS: [&str; 6] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/local/bin/", "/usr/local/sbin/", "/usr/sbin/"];
/// Files in /etc that name who and what there is.
const ACCOUNTS: [&str; 4] = ["group", "hosts", "passwd", "shadow"];

/// Whether a mount is one file, or a program, by its path: `/data/.env`, `/app/cluster.json`, `/bin/busybox`. What happens to
/// lie there is no data of the container, whatever the volume or the directory is called.
pub(super) fn is_file(mount: &Mount<'_>) -> bool {
    let path = mount.path.as_str();
    let name = path.rsplit('/').next().unwrap_or_default();
    if PROGRAMS.iter().any(|directory| path.starts_with(directory)) || DOT_FILES.contains(&name) {
        return true;
    }
    // A whole pod volume is a directory, so that only a part of one can be a file without an end.
    let is_part = !mount.sub_path.is_empty() || !mount.sub_path_expr.is_empty();
    if is_part && mount.sub_path.ends_with(name) {
        let account = path.strip_prefix("/etc/").is_some_and(|file| ACCOUNTS.contains(&file));
        let word = name.rsplit_once(['-', '_']).map(|(_, word)| word);
        if account || word.is_some_and(|word| ["conf", "config", "key"].contains(&word)) {
            return true;
        }
    }
    let end = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, end)| end);
    end.is_some_and(|end| ENDS.iter().any(|known| end.eq_ignore_ascii_case(known)))
}
