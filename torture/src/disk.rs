//! A full disk and a read-only folder: typed errors, the older checkpoints whole, and the run goes on in
//! memory to the same end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use opt_core::Snapshot;

use crate::child::{End, KEEP, set_read_only};
use crate::kills::{binary, finish, spawn};
use crate::models::text;
use crate::report::{Report, Scale};

const STEPS: u64 = 12;

/// After so many of them the disk is full.
const HALF: u64 = 6;

/// Nobody, whom permissions bind even where we are root.
#[cfg(unix)]
const NOBODY: u32 = 65_534;

pub(crate) fn run(scale: Scale) -> Result<Report, String> {
    let (started, mut report) = (Instant::now(), Report::default());
    let methods = &["adam", "kfac", "lbfgs"][..scale.pick(1, 3)];
    let folder = crate::folder().join("disk");
    for method in methods {
        let whole = run_in(&clean(&folder, "whole")?, method, STEPS, &[])?;
        let trials: [(&'static str, Trial); 3] = [
            ("file size limits", limited),
            ("full disks", full),
            ("read-only folders", read_only),
        ];
        for (what, trial) in trials {
            let done = match trial(&folder, method) {
                Err(why) if why.starts_with("skipped") => {
                    report.notes.push(why);
                    continue;
                }
                Ok(digest) if digest != whole.digest => Err("the end is not the same".to_owned()),
                other => other.map(|_| ()),
            };
            let named = |why| format!("{what}, {method} on 64-N-10 digits, {STEPS} steps: {why}");
            report.case(what, done.map_err(named));
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    report.notes.dedup();
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Gives the digest of the run's end.
type Trial = fn(&Path, &str) -> Result<u128, String>;

/// An empty folder of this name.
fn clean(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).map_err(text)?;
    Ok(path)
}

fn run_in(folder: &Path, method: &str, steps: u64, more: &[&str]) -> Result<End, String> {
    let mut command = Command::new(binary()?);
    command.arg("child").arg(folder);
    command.args([method, &steps.to_string()]).args(more);
    finish(spawn(command)?)
}

/// The checkpoints of these steps are there and whole, and nothing else is but the lock.
fn whole(folder: &Path, steps: std::ops::RangeInclusive<u64>) -> Result<(), String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(text)? {
        let path = entry.map_err(text)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".opt-tmp") {
            return Err(format!("{name} was left"));
        }
        if let Some(step) = name.strip_suffix(".safetensors") {
            Snapshot::<f32>::load(&path).map_err(|error| format!("{name} is damaged: {error}"))?;
            found.push(step.parse::<u64>().map_err(text)?);
        }
    }
    found.sort_unstable();
    match found == steps.clone().collect::<Vec<_>>() {
        true => Ok(()),
        false => Err(format!("there are {found:?}, not {steps:?}")),
    }
}

/// The last checkpoints before the disk was full, and that all later ones were refused.
fn refused_after_half(folder: &Path, end: &End) -> Result<u128, String> {
    if end.resumed != HALF || end.refused != STEPS - HALF {
        return Err(format!("it has {end:?}"));
    }
    whole(folder, HALF + 1 - KEEP as u64..=HALF)?;
    Ok(end.digest)
}

/// No file may be longer than so many blocks: a write ends in the middle with an error, as it does where
/// the disk is full.
fn limited(folder: &Path, method: &str) -> Result<u128, String> {
    if !cfg!(unix) {
        return Err("skipped: limits of a file's size, as this is no Unix".to_owned());
    }
    let folder = clean(folder, "limited")?;
    run_in(&folder, method, HALF, &[])?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\""]);
    shell.arg(binary()?).arg("child").arg(&folder);
    shell.args([method, &STEPS.to_string()]);
    let end = finish(spawn(shell)?)?;
    refused_after_half(&folder, &end)
}

/// A file system of its own, in memory, that another file fills.
fn full(folder: &Path, method: &str) -> Result<u128, String> {
    let mounted = Mounted::new(clean(folder, "mounted")?)?;
    let folder = &mounted.0;
    run_in(folder, method, HALF, &[])?;
    let filler = folder.join("filler");
    // Until nothing fits any more.
    let zeros = vec![0; 64 << 20];
    match std::fs::write(&filler, zeros) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {}
        other => return Err(format!("the disk is not full: {other:?}")),
    }
    let end = run_in(folder, method, STEPS, &[])?;
    let digest = refused_after_half(folder, &end)?;
    // And with room again, from where the checkpoints are.
    std::fs::remove_file(filler).map_err(text)?;
    let again = run_in(folder, method, STEPS, &[])?;
    match (again.digest == digest, again.refused) {
        (true, 0) => Ok(digest),
        _ => Err(format!("with room again it has {again:?}")),
    }
}

struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"])
            .arg(&path);
        match mount.output() {
            Ok(output) if output.status.success() => Ok(Self(path)),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(format!(
                    "skipped: full disks, as none can be mounted: {why}"
                ))
            }
            Err(error) => Err(format!(
                "skipped: full disks, as there is no mount: {error}"
            )),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

/// The folder becomes read-only while the run has it; and a run that finds it so is refused.
#[cfg(unix)]
fn read_only(folder: &Path, method: &str) -> Result<u128, String> {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    // Nobody must get there: not into the home of whoever builds.
    let parent = std::env::temp_dir().join(format!("opt-torture-{}", std::process::id()));
    let _ = folder;
    let folder = clean(&parent, "read-only")?;
    let root = std::fs::metadata("/proc/self").is_ok_and(|us| {
        use std::os::unix::fs::MetadataExt;
        us.uid() == 0
    });
    let copy = parent.join("opt-torture");
    std::fs::copy(binary()?, &copy).map_err(text)?;
    let child = |more: &[&str]| {
        let mut command = Command::new(&copy);
        command.arg("child").arg(&folder);
        command.args([method, &STEPS.to_string()]).args(more);
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    if root {
        std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(text)?;
    }
    let end = finish(spawn(child(&[&HALF.to_string()]))?)?;
    let checked = whole(&folder, HALF + 1 - KEEP as u64..=HALF);
    // A folder that nobody may write to, without the lock that is there already.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).map_err(text)?;
    std::fs::remove_file(folder.join(".lock")).map_err(text)?;
    set_read_only(&folder)?;
    let second = child(&[]).output().map_err(text)?;
    let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755));
    let _ = std::fs::remove_dir_all(parent);
    checked?;
    let said = String::from_utf8_lossy(&second.stderr);
    if second.status.success() || !said.contains("ermission denied") {
        return Err(format!(
            "a read-only folder is opened: {}, {said}",
            second.status
        ));
    }
    match (end.saved, end.refused) {
        (HALF, refused) if refused == STEPS - HALF => Ok(end.digest),
        _ => Err(format!("it has {end:?}")),
    }
}

#[cfg(not(unix))]
fn read_only(_: &Path, _: &str) -> Result<u128, String> {
    Err("skipped: read-only folders, as this is no Unix".to_owned())
}
