//! The laws of the layout, read off the source: rooms never import each other, the spine names no transport, one file
//! touches time.

use std::fs;
use std::path::{Path, PathBuf};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROOMS: [&str; 4] = ["poll", "long_poll", "sse", "ws"];

/// What a room's public names begin with.
const TRANSPORTS: [&str; 4] = ["PollTransport", "LongPollTransport", "SseTransport", "WebSocketTransport"];

/// Every file of the crate but its tests, with its lines of code: comments say what they like.
fn files() -> Result<Vec<(PathBuf, Vec<String>)>> {
    fn walk(folder: &Path, root: &Path, files: &mut Vec<(PathBuf, Vec<String>)>) -> Result {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "fixture");
            if path.is_dir() && !is_test {
                walk(&path, root, files)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                let text = fs::read_to_string(&path)?;
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                files.push((path.strip_prefix(root)?.to_owned(), lines.map(str::to_owned).collect()));
            }
        }
        Ok(())
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &root, &mut files)?;
    assert!(files.len() > 30, "the source is there: {files:?}");
    Ok(files)
}

/// The room a file stands in; none of the spine.
fn room(path: &Path) -> Option<&'static str> {
    ROOMS.into_iter().find(|room| path.starts_with(room))
}

#[test]
fn rooms_never_import_each_other_and_the_spine_names_none() -> Result {
    // The door names the rooms, and the builder which of them are the default.
    let may = ["lib.rs", "builder.rs"].map(Path::new);
    for (path, lines) in files()? {
        let own = room(&path);
        for line in lines.iter().filter(|_| !may.contains(&&*path)) {
            for (other, transport) in
                ROOMS.into_iter().zip(TRANSPORTS).filter(|(other, _)| Some(*other) != own)
            {
                let names = [format!("crate::{other}::"), format!("crate::{{{other}"), transport.to_owned()];
                let named = names.iter().any(|name| line.contains(&**name));
                // A longer name may end in a shorter one.
                let is_own = own == Some("long_poll") && line.contains("LongPollTransport");
                assert!(!named || is_own, "{} names {other}: {line}", path.display());
            }
        }
    }
    Ok(())
}

#[test]
fn one_file_touches_time() -> Result {
    for (path, lines) in files()?.into_iter().filter(|(path, _)| path != Path::new("timer.rs")) {
        for line in lines {
            for name in ["tokio::time", "Instant", "SystemTime", "sleep("] {
                assert!(!line.contains(name), "{} touches time: {line}", path.display());
            }
        }
    }
    Ok(())
}
