//! The memory of this process.

#![expect(clippy::expect_used, reason = "a bench has nobody to report to")]

/// A figure of `/proc/self/status`, in KB: `VmRSS:` or `VmHWM:`.
pub(crate) fn resident(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a known name");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
