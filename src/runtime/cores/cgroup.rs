//! How much CPU time the control groups of this process grant.
//!
//! A quota is no mask: all cores stay visible, and a process that fills them all is stopped for the rest of each
//! period. Shards beyond the quota would therefore add stalls and no throughput.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The two generations of control groups; a machine may mount both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    V1,
    V2,
}

/// The smallest quota on the way from this process's group to the root, in whole CPUs: rounded up, so at least 1.
/// `None`: no quota, or none that can be read.
pub(crate) fn quota_cpus(root: &Path) -> Option<usize> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    groups
        .lines()
        .filter_map(parse_group)
        .flat_map(|(generation, group)| {
            mounts
                .lines()
                .filter_map(move |line| parse_mount(line, generation))
                .flat_map(move |mount| mount.folders_of(group))
                .filter_map(move |folder| read_quota(root, &folder, generation))
        })
        .min()
}

/// One line of `/proc/self/cgroup`, `id:controllers:path`, if it can hold a CPU quota.
fn parse_group(line: &str) -> Option<(Generation, &Path)> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if id == "0" && controllers.is_empty() {
        Some((Generation::V2, Path::new(path)))
    } else if controllers.split(',').any(|name| name == "cpu") {
        Some((Generation::V1, Path::new(path)))
    } else {
        None
    }
}

/// Where a hierarchy is mounted, and which of its groups is the top of that mount.
struct Mount<'a> {
    top_group: &'a Path,
    point: &'a Path,
}

impl Mount<'_> {
    /// The folders of `group` and of all groups above it that can be seen.
    fn folders_of(&self, group: &Path) -> Vec<PathBuf> {
        // In a container without its own cgroup namespace the path is the host's; with one, it may lead out (`/..`).
        // What lies outside the mount cannot be read anyway: the top of the mount is the best that is left.
        let below = group.strip_prefix(self.top_group).unwrap_or(Path::new(""));
        let safe = below.components().all(|part| matches!(part, Component::Normal(_)));
        let below = if safe { below } else { Path::new("") };
        below.ancestors().map(|folder| self.point.join(folder)).collect()
    }
}

/// One line of `/proc/self/mountinfo`, if it mounts the hierarchy that is wanted.
fn parse_mount(line: &str, wanted: Generation) -> Option<Mount<'_>> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split_ascii_whitespace().skip(3);
    let (top_group, point) = (Path::new(place.next()?), Path::new(place.next()?));
    let mut kind = kind.split_ascii_whitespace();
    let (fs_type, options) = (kind.next()?, kind.nth(1)?);
    let matches = match wanted {
        Generation::V2 => fs_type == "cgroup2",
        Generation::V1 => fs_type == "cgroup" && options.split(',').any(|option| option == "cpu"),
    };
    matches.then_some(Mount { top_group, point })
}

fn read_quota(root: &Path, folder: &Path, generation: Generation) -> Option<usize> {
    let folder = root.join(folder.strip_prefix("/").unwrap_or(folder));
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    match generation {
        Generation::V2 => {
            let text = read("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            whole_cpus(quota, period)
        }
        Generation::V1 => whole_cpus(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim()),
    }
}

/// `None` for "no limit", which is `max` in one generation and `-1` in the other, and for what makes no sense.
fn whole_cpus(quota_us: &str, period_us: &str) -> Option<usize> {
    let (quota_us, period_us): (usize, usize) = (quota_us.parse().ok()?, period_us.parse().ok()?);
    (period_us > 0).then(|| quota_us.div_ceil(period_us).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2_MOUNT: &str = "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const V1_MOUNT: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn quota(files: &[(&str, &str)]) -> Option<usize> {
        quota_cpus(tree(files).path())
    }

    #[test]
    fn v2_takes_the_smallest_on_the_way_up() {
        let files = [
            ("proc/self/cgroup", "0::/pod/run\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/pod/run/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/pod/cpu.max", "250000 100000\n"),
            ("sys/fs/cgroup/cpu.max", "800000 100000\n"),
            ("sys/fs/cgroup/other/cpu.max", "1000 100000\n"),
        ];
        assert_eq!(quota(&files), Some(3));
    }

    #[test]
    fn v1_reads_quota_and_period() {
        let cgroup = ("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/box\n0::/\n");
        let period = ("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
        let quota_of = |us| {
            let file = ("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", us);
            quota(&[cgroup, ("proc/self/mountinfo", V1_MOUNT), period, file])
        };
        assert_eq!(quota_of("200000\n"), Some(2));
        assert_eq!(quota_of("5000\n"), Some(1));
        assert_eq!(quota_of("-1\n"), None);
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_mount_point() {
        let mount = "41 31 0:38 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw";
        for group in ["0::/docker/abc\n", "0::/../escaped\n", "0::/elsewhere\n", "0::/\n"] {
            let files = [
                ("proc/self/cgroup", group),
                ("proc/self/mountinfo", mount),
                ("sys/fs/cgroup/cpu.max", "100000 100000"),
                ("sys/fs/escaped/cpu.max", "900000 100000"),
            ];
            assert_eq!(quota(&files), Some(1), "{group}");
        }
    }

    #[test]
    fn nonsense_is_no_quota() {
        assert_eq!(quota(&[]), None);
        for text in ["", "max", "1 0", "x y", "-5 100", "100000", "99999999999999999999999 1"] {
            let files = [
                ("proc/self/cgroup", "0::/\nbroken\n0:\n"),
                ("proc/self/mountinfo", &format!("broken\n - \na b c - cgroup2\n{V2_MOUNT}")),
                ("sys/fs/cgroup/cpu.max", text),
            ];
            assert_eq!(quota(&files), None, "{text}");
        }
    }
}
