//! Files that are whole or not there.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Writes a file so that a reader, another writer or a crash sees the old content or the new, and
/// never a part: into a temporary file in the same folder, which is synced and renamed; then the
/// folder is synced.
///
/// - Any number of threads and processes may write to one path: each succeeds, the last one stays.
/// - A link is followed, and what it points to is written, be it there or not.
/// - The permissions of a file that was there stay. Its other hard links keep the old content.
/// - What a killed process has left, `.<process>-<16 hex digits>.opt-tmp`, is removed by the next
///   call in the same folder. A living writer holds a lock on its own, so nobody else's is touched.
///
/// # Errors
/// [`Error::NotAFile`] if a folder, device, socket or pipe is there; [`Error::Io`], also for a
/// file that is read-only. Then the old file is there as it was, unless only the sync of the folder
/// failed: then the new one is, and a power cut may still bring back the old.
pub fn write_whole(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    let (target, old) = resolve(path)?;
    let named = |source| io_error(path, source);
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Opened first: what cannot be synced is refused before anything has changed.
    let sync = Folder::open(folder).map_err(named)?;
    remove_stale(folder);
    let (beside, file) = create(folder).map_err(named)?;
    if let Err(source) = fill(file, bytes, old, &beside, &target) {
        // Best effort: the first error is the one to report.
        let _ = fs::remove_file(beside);
        return Err(named(source));
    }
    sync.sync().map_err(named)
}

/// The content of a regular file. A device or a pipe might never end.
#[cfg(feature = "safetensors")]
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>, Error> {
    let found = fs::metadata(path).map_err(|source| io_error(path, source))?;
    check_regular(path, &found)?;
    fs::read(path).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.display().to_string(),
        source,
    }
}

/// Where the file is to be after all links, and what is there.
fn resolve(path: &Path) -> Result<(PathBuf, Option<Metadata>), Error> {
    let named = |source| io_error(path, source);
    match fs::metadata(path) {
        Ok(found) => {
            check_regular(path, &found)?;
            if found.permissions().readonly() {
                // A rename would not ask.
                return Err(named(ErrorKind::PermissionDenied.into()));
            }
            Ok((fs::canonicalize(path).map_err(named)?, Some(found)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut target = path.to_owned();
            // Linux follows as many; a circle of links is not `NotFound`, and not seen here.
            for _ in 0..40 {
                let Ok(to) = fs::read_link(&target) else {
                    break;
                };
                target = target.parent().unwrap_or(Path::new("")).join(to);
            }
            Ok((target, None))
        }
        Err(error) => Err(named(error)),
    }
}

fn check_regular(path: &Path, found: &Metadata) -> Result<(), Error> {
    if found.is_file() {
        return Ok(());
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Err(Error::NotAFile {
        path: path.display().to_string(),
        found: if found.is_dir() {
            "a folder"
        } else {
            special(found.file_type())
        },
    })
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "no regular file"
}

/// A temporary file that nobody else has, locked for as long as it is open.
fn create(folder: &Path) -> io::Result<(PathBuf, File)> {
    for _ in 0..100 {
        let random = RandomState::new().build_hasher().finish();
        let beside = folder.join(format!(".{}-{random:016x}{END}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = match options.write(true).create_new(true).open(&beside) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        // Where the file system has no locks, nobody removes anything either.
        while matches!(file.lock(), Err(error) if error.kind() == ErrorKind::Interrupted) {}
        // Before it was locked, another process may have taken it for stale. Not after.
        if beside.try_exists()? {
            return Ok((beside, file));
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn fill(
    mut file: File,
    bytes: &[u8],
    old: Option<Metadata>,
    beside: &Path,
    target: &Path,
) -> io::Result<()> {
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    // Still locked: nobody takes it away before it has its name.
    fs::rename(beside, target)
}

const END: &str = ".opt-tmp";

/// `.<digits>-<16 hex digits>.opt-tmp`, as `create` makes it.
fn is_temporary(name: &str) -> bool {
    let middle = (name.strip_prefix('.')).and_then(|name| name.strip_suffix(END));
    middle
        .and_then(|middle| middle.split_once('-'))
        .is_some_and(|(process, random)| {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            !process.is_empty()
                && process.bytes().all(|b| b.is_ascii_digit())
                && random.len() == 16
                && random.bytes().all(hex)
        })
}

/// Removes temporary files that no living process has locked. Best effort: what cannot be read or
/// removed is in nobody's way.
fn remove_stale(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(is_temporary)
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        if !ours {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // Still locked by us: see `create`.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A folder whose entries can be made to last. Windows has no such call.
struct Folder(#[cfg(unix)] File);

impl Folder {
    #[cfg(unix)]
    fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    #[cfg(not(unix))]
    fn open(_: &Path) -> io::Result<Self> {
        Ok(Self())
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        match self.0.sync_all() {
            // Some network file systems have no sync of folders, and say so in these two ways.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidInput | ErrorKind::Unsupported
                ) => {}
            synced => return synced,
        }
        Ok(())
    }
}
