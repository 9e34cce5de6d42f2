//! The few calls of the kernel's that no crate has a safe function for: loop devices, btrfs, project quotas, memory. The
//! structs are those of linux/loop.h, linux/btrfs.h, linux/fs.h and linux/quota.h.
#![allow(
    unsafe_code,
    reason = "an ioctl is unsafe as its argument must be of the type that its number stands for; here both stand side by \
              side, and nothing unsafe leaves this file"
)]

use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Result;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use std::ffi::{CStr, c_void};

/// An ioctl and its argument, of which the kernel reads and writes no more than is there.
struct Call<'a, T> {
    opcode: Opcode,
    argument: Option<&'a mut T>,
}

// SAFETY: `as_ptr` gives null or a valid, exclusive pointer to a `T`, which lives longer than the call; `call` is given
// numbers whose argument is a `T`; all are of Linux, and so is the agent.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument.as_mut().map_or(std::ptr::null_mut(), |argument| (&raw mut **argument).cast())
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> Result<IoctlOutput> {
        Ok(output)
    }
}

/// Private, as it is for the caller to have opcode and argument match.
fn call<T>(file: impl AsFd, opcode: Opcode, argument: Option<&mut T>) -> Result<IoctlOutput> {
    // SAFETY: as above; every call of this function in this file names the struct of its number.
    unsafe { ioctl(file, Call { opcode, argument }) }
}

/// A zeroed struct of integers.
macro_rules! zeroed {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        struct $name { $($field: $type,)* }

        impl $name {
            fn new() -> Self {
                // SAFETY: integers and arrays of them, for which zero is a value.
                unsafe { std::mem::zeroed() }
            }
        }
    };
}

zeroed! {
    struct LoopInfo {
        device: u64, inode: u64, rdevice: u64, offset: u64, size_limit: u64, number: u32, encrypt_type: u32,
        encrypt_key_size: u32, flags: u32, file_name: [u8; 64], crypt_name: [u8; 64], encrypt_key: [u8; 32], init: [u64; 2],
    }
}

zeroed! {
    struct LoopConfig { fd: u32, block_size: u32, info: LoopInfo, reserved: [u64; 8], }
}

const LOOP_CLR_FD: Opcode = 0x4c01;
const LOOP_GET_STATUS64: Opcode = 0x4c05;
const LOOP_SET_CAPACITY: Opcode = 0x4c07;
const LOOP_CONFIGURE: Opcode = 0x4c0a;
const LOOP_CTL_GET_FREE: Opcode = 0x4c82;
const BLKGETSIZE64: Opcode = opcode::read::<usize>(0x12, 114);
/// Past the page cache of the file, where the file system can; else the kernel leaves it.
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// What a loop device is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoopStatus {
    /// The device and the inode of the file.
    pub(super) file: (u64, u64),
    /// What it was called when it was attached.
    pub(super) name: Vec<u8>,
}

/// The number of a loop device that was free just now.
pub(super) fn loop_free(control: impl AsFd) -> Result<i32> {
    call::<u8>(control, LOOP_CTL_GET_FREE, None)
}

/// Puts a file behind a loop device. `name` is for whoever lists devices; 63 bytes of it are kept.
pub(super) fn loop_attach(device: impl AsFd, file: impl AsFd, name: &str) -> Result<()> {
    let mut config = LoopConfig::new();
    config.fd = u32::try_from(file.as_fd().as_raw_fd()).unwrap_or(u32::MAX);
    config.info.flags = LO_FLAGS_DIRECT_IO;
    for (to, from) in config.info.file_name.iter_mut().take(63).zip(name.bytes()) {
        *to = from;
    }
    call(device, LOOP_CONFIGURE, Some(&mut config)).map(|_| ())
}

/// What a loop device is over; `ENXIO` when nothing.
pub(super) fn loop_status(device: impl AsFd) -> Result<LoopStatus> {
    let mut info = LoopInfo::new();
    call(device, LOOP_GET_STATUS64, Some(&mut info))?;
    let name = info.file_name.iter().copied().take_while(|byte| *byte != 0).collect();
    Ok(LoopStatus { file: (info.device, info.inode), name })
}

/// Has a loop device take over the size of its file.
pub(super) fn loop_resize(device: impl AsFd) -> Result<()> {
    call::<u8>(device, LOOP_SET_CAPACITY, None).map(|_| ())
}

/// Takes the file from a loop device: at once, or when the last that has it open closes it.
pub(super) fn loop_detach(device: impl AsFd) -> Result<()> {
    call::<u8>(device, LOOP_CLR_FD, None).map(|_| ())
}

/// The size of a block device, in bytes.
pub(super) fn device_size(device: impl AsFd) -> Result<u64> {
    let mut size = 0_u64;
    call(device, BLKGETSIZE64, Some(&mut size))?;
    Ok(size)
}

zeroed! {
    struct VolArgs { fd: i64, name: [u8; 4088], }
}
zeroed! {
    struct QuotaCtl { command: u64, status: u64, }
}
zeroed! {
    struct QgroupLimit { id: u64, flags: u64, max_referenced: u64, max_exclusive: u64, rsv_referenced: u64, rsv_exclusive: u64, }
}
zeroed! {
    struct InodeLookup { tree: u64, object: u64, name: [u8; 4080], }
}
zeroed! {
    struct FsInfo { max_id: u64, devices: u64, fsid: [u8; 16], rest: [u64; 124], }
}

const BTRFS: u8 = 0x94;
const BTRFS_SUBVOL_CREATE: Opcode = opcode::write::<VolArgs>(BTRFS, 14);
const BTRFS_SNAP_DESTROY: Opcode = opcode::write::<VolArgs>(BTRFS, 15);
const BTRFS_INO_LOOKUP: Opcode = opcode::read_write::<InodeLookup>(BTRFS, 18);
const BTRFS_FS_INFO: Opcode = opcode::read::<FsInfo>(BTRFS, 31);
const BTRFS_QUOTA_CTL: Opcode = opcode::read_write::<QuotaCtl>(BTRFS, 40);
const BTRFS_QGROUP_LIMIT: Opcode = opcode::read::<QgroupLimit>(BTRFS, 43);
const QUOTA_ENABLE: u64 = 1;
const LIMIT_REFERENCED: u64 = 1;
/// The inode number of a subvolume's root.
pub(super) const BTRFS_ROOT_INODE: u64 = 256;

fn named(name: &CStr) -> Result<VolArgs> {
    let mut args = VolArgs::new();
    let bytes = name.to_bytes();
    if bytes.len() >= args.name.len() {
        return Err(rustix::io::Errno::NAMETOOLONG);
    }
    args.name.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Ok(args)
}

/// Makes a subvolume in a directory.
pub(super) fn subvolume_create(parent: impl AsFd, name: &CStr) -> Result<()> {
    call(parent, BTRFS_SUBVOL_CREATE, Some(&mut named(name)?)).map(|_| ())
}

/// Removes a subvolume from a directory, with all that is in it but other subvolumes.
pub(super) fn subvolume_destroy(parent: impl AsFd, name: &CStr) -> Result<()> {
    call(parent, BTRFS_SNAP_DESTROY, Some(&mut named(name)?)).map(|_| ())
}

/// The id of the subvolume that a file is in.
pub(super) fn subvolume_id(file: impl AsFd) -> Result<u64> {
    let mut lookup = InodeLookup::new();
    lookup.object = BTRFS_ROOT_INODE;
    call(file, BTRFS_INO_LOOKUP, Some(&mut lookup))?;
    Ok(lookup.tree)
}

/// The id of a btrfs file system.
pub(super) fn btrfs_uuid(file: impl AsFd) -> Result<[u8; 16]> {
    let mut info = FsInfo::new();
    call(file, BTRFS_FS_INFO, Some(&mut info))?;
    Ok(info.fsid)
}

/// Has btrfs count what each subvolume holds.
pub(super) fn btrfs_quota_enable(file: impl AsFd) -> Result<()> {
    let mut control = QuotaCtl::new();
    control.command = QUOTA_ENABLE;
    call(file, BTRFS_QUOTA_CTL, Some(&mut control)).map(|_| ())
}

/// Bounds what the subvolume of an open directory may refer to, in bytes.
pub(super) fn qgroup_limit(subvolume: impl AsFd, bytes: u64) -> Result<()> {
    let mut limit = QgroupLimit::new();
    // Of the id 0, the kernel takes that of the subvolume itself.
    (limit.flags, limit.max_referenced) = (LIMIT_REFERENCED, bytes);
    call(subvolume, BTRFS_QGROUP_LIMIT, Some(&mut limit)).map(|_| ())
}

zeroed! {
    struct FsxAttr { flags: u32, extent_size: u32, extents: u32, project: u32, cow_extent_size: u32, pad: [u8; 8], }
}
zeroed! {
    struct Dqblk {
        hard_kib: u64, soft_kib: u64, used: u64, inode_hard: u64, inode_soft: u64, inodes: u64, block_time: u64,
        inode_time: u64, valid: u32,
    }
}
zeroed! {
    struct QuotaState { version: i8, flags: u16, rest: [u64; 16], }
}

const FS_IOC_FSGETXATTR: Opcode = opcode::read::<FsxAttr>(b'X', 31);
const FS_IOC_FSSETXATTR: Opcode = opcode::write::<FsxAttr>(b'X', 32);
/// What is made in the directory is of its project.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;
/// Of Linux 5.14; from 403 on, all machines have the same numbers.
const SYS_QUOTACTL_FD: libc::c_long = 443;
const PROJECTS: libc::c_uint = 2;
const Q_GETQUOTA: libc::c_uint = 0x80_0007;
const Q_SETQUOTA: libc::c_uint = 0x80_0008;
const Q_XGETQSTAT: libc::c_uint = 0x5805;
/// Of a limit that is set: that on blocks and that on inodes.
const LIMITS_VALID: u32 = 1 | 1 << 2;
/// Projects are counted, and limits on them kept.
const PROJECTS_ON: u16 = 1 << 4 | 1 << 5;

/// A project's limits and use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ProjectQuota {
    /// The hard limit in bytes; 0 is none.
    pub(super) limit: u64,
    /// The bytes that its files take.
    pub(super) used: u64,
    /// The hard limit of inodes, which every file, directory and link has; 0 is none.
    pub(super) inode_limit: u64,
    /// The inodes that it has.
    pub(super) inodes: u64,
}

/// Private, as it is for the caller to have command and argument match.
fn quotactl<T>(file: impl AsFd, command: libc::c_uint, id: u32, argument: &mut T) -> Result<()> {
    let (fd, command) = (file.as_fd().as_raw_fd(), command << 8 | PROJECTS);
    // SAFETY: the kernel reads and writes the struct of the command, which is what every call in this file gives.
    let done = unsafe { libc::syscall(SYS_QUOTACTL_FD, fd, command, id, std::ptr::from_mut(argument)) };
    if done == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
}

/// The project that a directory is of, when what is made in it is too.
pub(super) fn project(directory: impl AsFd) -> Result<Option<u32>> {
    let mut attributes = FsxAttr::new();
    call(directory, FS_IOC_FSGETXATTR, Some(&mut attributes))?;
    Ok((attributes.flags & FS_XFLAG_PROJINHERIT != 0).then_some(attributes.project))
}

/// Makes a directory of a project, with all that is made in it from now on.
pub(super) fn set_project(directory: impl AsFd, project: u32) -> Result<()> {
    let mut attributes = FsxAttr::new();
    call(&directory, FS_IOC_FSGETXATTR, Some(&mut attributes))?;
    attributes.flags |= FS_XFLAG_PROJINHERIT;
    attributes.project = project;
    call(directory, FS_IOC_FSSETXATTR, Some(&mut attributes)).map(|_| ())
}

/// Has what is made in a directory, or moved into it, keep to no project from now on. The directory itself stays counted.
pub(super) fn leave_project(directory: impl AsFd) -> Result<()> {
    let mut attributes = FsxAttr::new();
    call(&directory, FS_IOC_FSGETXATTR, Some(&mut attributes))?;
    if attributes.flags & FS_XFLAG_PROJINHERIT == 0 {
        return Ok(());
    }
    attributes.flags &= !FS_XFLAG_PROJINHERIT;
    call(directory, FS_IOC_FSSETXATTR, Some(&mut attributes)).map(|_| ())
}

/// Whether the file system counts projects and keeps limits on them.
pub(super) fn project_quotas(root: impl AsFd) -> Result<bool> {
    let mut state = QuotaState::new();
    quotactl(root, Q_XGETQSTAT, 0, &mut state)?;
    Ok(state.flags & PROJECTS_ON == PROJECTS_ON)
}

/// A project's limits and use; none of a project that was never heard of.
pub(super) fn project_quota(root: impl AsFd, project: u32) -> Result<Option<ProjectQuota>> {
    let mut block = Dqblk::new();
    match quotactl(root, Q_GETQUOTA, project, &mut block) {
        Ok(()) => Ok(Some(ProjectQuota {
            limit: block.hard_kib.saturating_mul(1024),
            used: block.used,
            inode_limit: block.inode_hard,
            inodes: block.inodes,
        })),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Bounds a project to so many bytes, upwards to whole KiB, and so many inodes.
pub(super) fn set_project_quota(root: impl AsFd, project: u32, bytes: u64, inodes: u64) -> Result<()> {
    let mut block = Dqblk::new();
    (block.hard_kib, block.inode_hard, block.valid) = (bytes.div_ceil(1024), inodes, LIMITS_VALID);
    quotactl(root, Q_SETQUOTA, project, &mut block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_and_numbers_are_the_kernels() {
        // As a C compiler has them, from the headers of Linux 6.1 on a 64-bit machine.
        assert_eq!(size_of::<LoopInfo>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
        assert_eq!(BLKGETSIZE64, 0x8008_1272);
        assert_eq!(BTRFS_SUBVOL_CREATE, 0x5000_940e);
        assert_eq!(BTRFS_SNAP_DESTROY, 0x5000_940f);
        assert_eq!(BTRFS_INO_LOOKUP, 0xd000_9412);
        assert_eq!(BTRFS_FS_INFO, 0x8400_941f);
        assert_eq!(BTRFS_QUOTA_CTL, 0xc010_9428);
        assert_eq!(BTRFS_QGROUP_LIMIT, 0x8030_942b);
        assert_eq!(FS_IOC_FSGETXATTR, 0x801c_581f);
        assert_eq!(FS_IOC_FSSETXATTR, 0x401c_5820);
        assert_eq!(size_of::<Dqblk>(), 72);
        assert!(size_of::<QuotaState>() >= 80, "as long as the kernel writes");
    }
}
