//! Files are whole or not there, whoever writes, is killed, or has put something in the way.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opt_core::{Error, write_whole};

/// An empty folder of this test's own.
pub(crate) fn folder(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

pub(crate) fn names(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    names.sort();
    names
}

fn content(i: u8) -> Vec<u8> {
    vec![i; 30_000 + 1_000 * usize::from(i)]
}

/// Panics unless the file has one of the contents, and all of it.
fn whole(path: &Path) {
    let found = fs::read(path).unwrap();
    let i = found[0];
    assert!(found == content(i), "{} bytes from {i}", found.len());
}

/// This file's `child`, in a process of its own.
fn child(path: &Path, times: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "write::child_process",
            "--ignored",
            "--nocapture",
        ])
        .env("OPT_CORE_WRITE", path)
        .env("OPT_CORE_TIMES", times.to_string())
        .stdout(Stdio::piped());
    command
}

#[test]
#[ignore = "what other tests run in a process of its own"]
fn child_process() {
    let Some(path) = std::env::var_os("OPT_CORE_WRITE") else {
        return;
    };
    let times: u64 = std::env::var("OPT_CORE_TIMES").unwrap().parse().unwrap();
    for i in 0..times {
        write_whole(&path, &content((i % 50) as u8)).unwrap();
        if i == 0 {
            println!("written once");
        }
    }
}

fn wait_for_the_first(child: &mut Child) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| line.unwrap());
    assert!(lines.any(|line| line.contains("written once")));
}

#[test]
fn threads_and_processes_that_write_to_one_path_all_succeed() {
    let folder = folder("write-together");
    let path = folder.join("a");
    write_whole(&path, &content(0)).unwrap();
    let children: Vec<_> = (0..3).map(|_| child(&path, 40).spawn().unwrap()).collect();
    std::thread::scope(|scope| {
        for i in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for k in 0..40 {
                    write_whole(path, &content(i * 40 + k)).unwrap();
                    whole(path);
                }
            });
        }
    });
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    whole(&path);
    assert_eq!(names(&folder), [path]);
}

#[test]
fn a_killed_writer_leaves_a_whole_file_and_nothing_that_stays() {
    let folder = folder("write-killed");
    let path = folder.join("a");
    let mut left = 0;
    for i in 0..25 {
        let mut writer = child(&path, u64::MAX).spawn().unwrap();
        wait_for_the_first(&mut writer);
        std::thread::sleep(Duration::from_micros(700 * i));
        writer.kill().unwrap();
        writer.wait().unwrap();
        whole(&path);
        let found = names(&folder).len() - 1;
        // What the last one left is gone, or it is still there and this one left nothing.
        assert!(found <= 1, "{:?}", names(&folder));
        left += found;
    }
    assert!(left > 0, "no kill has hit a write: the test shows nothing");
    write_whole(&path, &content(7)).unwrap();
    assert_eq!(names(&folder), [path]);
}

#[test]
fn only_temporary_files_of_the_dead_are_removed() {
    let folder = folder("write-stale");
    let stale = folder.join(".1-0123456789abcdef.opt-tmp");
    let living = folder.join(".2-0123456789abcdef.opt-tmp");
    fs::write(&stale, "cut o").unwrap();
    fs::write(&living, "being wri").unwrap();
    let lock = File::open(&living).unwrap();
    lock.lock().unwrap();
    let mut kept = vec![living.clone(), folder.join("a")];
    for name in [
        ".1-0123456789abcdeF.opt-tmp",
        ".1-0123456789abcdef0.opt-tmp",
        ".1-0123456789abcde.opt-tmp",
        ".-0123456789abcdef.opt-tmp",
        ".x-0123456789abcdef.opt-tmp",
        "1-0123456789abcdef.opt-tmp",
        ".1-0123456789abcdef.tmp",
        ".1_0123456789abcdef.opt-tmp",
        "a.1.tmp",
    ] {
        fs::write(folder.join(name), "somebody's").unwrap();
        kept.push(folder.join(name));
    }
    fs::create_dir(folder.join(".3-0123456789abcdef.opt-tmp")).unwrap();
    kept.push(folder.join(".3-0123456789abcdef.opt-tmp"));
    #[cfg(unix)]
    {
        let link = folder.join(".4-0123456789abcdef.opt-tmp");
        std::os::unix::fs::symlink("a", &link).unwrap();
        kept.push(link);
        // Opening one would wait for ever.
        kept.push(pipe(&folder.join(".5-0123456789abcdef.opt-tmp")));
    }
    write_whole(folder.join("a"), b"new").unwrap();
    kept.sort();
    assert_eq!(names(&folder), kept);
    assert_eq!(fs::read(folder.join("a")).unwrap(), b"new");

    drop(lock);
    kept.retain(|path| *path != living);
    // A child that another test has just forked holds the lock too, until it runs its program.
    for _ in 0..100 {
        write_whole(folder.join("a"), b"newer").unwrap();
        if names(&folder) == kept {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(names(&folder), kept);
}

#[test]
fn what_cannot_be_written_leaves_everything_as_it_was() {
    let folder = folder("write-failed");
    let read_only = folder.join("read-only");
    fs::write(&read_only, "old").unwrap();
    let mut permissions = fs::metadata(&read_only).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&read_only, permissions).unwrap();
    let before = names(&folder);
    let cases = [
        (folder.join("missing").join("a"), ErrorKind::NotFound),
        (PathBuf::new(), ErrorKind::NotFound),
        (read_only.join("a"), ErrorKind::NotADirectory),
        (read_only.clone(), ErrorKind::PermissionDenied),
        (folder.join("n".repeat(300)), ErrorKind::InvalidFilename),
    ];
    for (path, expected) in cases {
        let error = write_whole(&path, b"new").unwrap_err();
        let Error::Io {
            path: named,
            source,
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(
            (named.as_str(), source.kind()),
            (path.to_str().unwrap(), expected)
        );
        assert_eq!(names(&folder), before);
    }
    assert_eq!(fs::read(&read_only).unwrap(), b"old");
    // As long a name as there is.
    write_whole(folder.join("n".repeat(255)), b"new").unwrap();
    // A path without a folder is one in the folder of the process.
    assert!(matches!(write_whole(".", b""), Err(Error::NotAFile { .. })));
}

#[cfg(unix)]
fn pipe(path: &Path) -> PathBuf {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    path.to_owned()
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_link_is_followed_and_stays_one() {
        let folder = folder("write-links");
        let (there, here) = (folder.join("there"), folder.join("here"));
        fs::create_dir(&there).unwrap();
        fs::create_dir(&here).unwrap();
        fs::write(there.join("old"), "old").unwrap();
        // Link, what it says, and the file that is written in the end.
        let cases = [
            ("to-old", PathBuf::from("../there/old"), "old"),
            ("absolute", there.join("old"), "old"),
            ("to-link", PathBuf::from("to-old"), "old"),
            ("to-nothing", PathBuf::from("../there/new"), "new"),
            (
                "to-nothing-by-link",
                PathBuf::from("to-nothing-yet"),
                "newer",
            ),
        ];
        symlink("../there/newer", here.join("to-nothing-yet")).unwrap();
        for (i, (link, says, target)) in cases.iter().enumerate() {
            let link = here.join(link);
            symlink(says, &link).unwrap();
            write_whole(&link, &content(i as u8)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), *says);
            assert_eq!(fs::read(there.join(target)).unwrap(), content(i as u8));
        }
        assert_eq!(
            names(&there),
            ["new", "newer", "old"].map(|name| there.join(name))
        );
        assert_eq!(names(&here).len(), 6);

        // A circle, and a way to nowhere.
        symlink("circle", here.join("circle")).unwrap();
        symlink("../nowhere/a", here.join("nowhere")).unwrap();
        for link in ["circle", "nowhere"] {
            let error = write_whole(here.join(link), b"new").unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error:?}");
            assert!(fs::read_link(here.join(link)).is_ok());
        }
        assert_eq!(names(&here).len(), 8);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_what_it_is() {
        let folder = folder("write-special");
        fs::create_dir(folder.join("folder")).unwrap();
        pipe(&folder.join("pipe"));
        // The folder's path may be longer than a socket's may be.
        let socket = std::env::temp_dir().join(format!("opt-core-{}", std::process::id()));
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink("/dev/null", folder.join("link")).unwrap();
        let cases = [
            (folder.join("folder"), "a folder"),
            (folder.join("pipe"), "a pipe"),
            (socket.clone(), "a socket"),
            (PathBuf::from("/dev/null"), "a device"),
            (folder.join("link"), "a device"),
        ];
        for (path, expected) in cases {
            let before = fs::metadata(&path).unwrap();
            let error = write_whole(&path, b"new").unwrap_err();
            let Error::NotAFile { found, .. } = error else {
                panic!("{error:?}")
            };
            assert_eq!(found, expected);
            let after = fs::metadata(&path).unwrap();
            assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
        }
        fs::remove_file(socket).unwrap();
        assert_eq!(names(&folder).len(), 3);
    }

    #[test]
    fn permissions_stay() {
        let path = folder("write-permissions").join("a");
        for mode in [0o600, 0o640, 0o666] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            write_whole(&path, b"new").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_write_that_breaks_off_leaves_the_old_file_alone() {
        let folder = folder("write-limit");
        let path = folder.join("a");
        fs::write(&path, "old").unwrap();
        let writer = child(&path, 1);
        // No file may be larger than a few blocks: the write ends after them, with an error.
        let script = r#"trap '' XFSZ; ulimit -f 8; exec "$0" "$@""#;
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(writer.get_program())
            .args(writer.get_args())
            .envs(writer.get_envs().filter_map(|(k, v)| Some((k, v?))))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("Io {"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(&folder), [path]);
    }
}
