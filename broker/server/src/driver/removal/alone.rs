//! Whether anybody but this thread can still see the bytes of a file.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// `F_SETSIG` of `asm-generic/fcntl.h`, which the libc crate has for few targets.
const F_SETSIG: libc::c_int = 10;

/// Whether the file has no name any more, and nobody else, in this process or another, has it open: nobody would see it cut.
/// Where that cannot be told, as on file systems without leases, it is not so.
///
/// `file` is open for writing alone. The kernel grants a write lease only to the one who has a file open (fcntl(2),
/// `F_SETLEASE`); it is given back at once.
pub(super) fn is_nobody_elses(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.nlink() == 0) && lease(file)
}

fn lease(file: &File) -> bool {
    let descriptor = file.as_raw_fd();
    let control = |command: libc::c_int, argument: libc::c_int| {
        // SAFETY: `descriptor` is that of a file that is open here, and the commands below take a number and touch no memory.
        #[allow(unsafe_code)]
        let done = unsafe { libc::fcntl(descriptor, command, argument) };
        done == 0
    };
    // Whoever opens the file meanwhile, which takes a debugger, makes the kernel send a signal: one that is ignored, instead
    // of SIGIO, which ends a process.
    control(F_SETSIG, libc::SIGURG) && control(libc::F_SETLEASE, libc::F_WRLCK) && {
        control(libc::F_SETLEASE, libc::F_UNLCK);
        true
    }
}
