use rustix::fd::BorrowedFd;

/// The name of the file system that a directory is on, such as `xfs`; what has no name here, as its number.
pub(super) fn name(directory: BorrowedFd<'_>) -> String {
    // linux/magic.h; ext2 and ext3 have ext4's number.
    const KNOWN: [(u64, &str); 8] = [
        (0xef53, "ext4"),
        (0x5846_5342, "xfs"),
        (BTRFS, "btrfs"),
        (0x0102_1994, "tmpfs"),
        (0x794c_7630, "overlay"),
        (0x2fc1_2fc1, "zfs"),
        (0xf2f5_2010, "f2fs"),
        (0x6969, "nfs"),
    ];
    let Some(magic) = magic(directory) else { return "unknown".to_owned() };
    match KNOWN.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{magic:#x}"),
    }
}

const BTRFS: u64 = 0x9123_683e;

fn magic(directory: BorrowedFd<'_>) -> Option<u64> {
    let statfs = rustix::fs::fstatfs(directory).ok()?;
    // The field is signed on some machines and has 32 bits of meaning on all.
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "the number is a pattern of 32 bits"
    )]
    Some(u64::from(statfs.f_type as u32))
}
