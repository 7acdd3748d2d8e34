//! Where things are: the repository, the target directory, programs on the search path.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds: `CARGO_TARGET_DIR` (taken from where the caller stands), else `target`.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => std::path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        _ => root().join("target"),
    }
}

/// Where servers are; `PATH` names it for root alone on Debian.
const SERVERS: &str = "/usr/local/sbin:/usr/sbin";

/// The first of `names` that is a file on `PATH`, or where servers are.
pub(crate) fn program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    search(&path, names).or_else(|| search(OsStr::new(SERVERS), names))
}

fn search(path: &OsStr, names: &[&str]) -> Option<PathBuf> {
    let dirs: Vec<PathBuf> = env::split_paths(path).collect();
    names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name))).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file());
        assert!(root().join("xtask").is_dir());
    }

    #[test]
    fn an_earlier_name_wins_over_an_earlier_directory() {
        let (first, second) = (root().join("xtask"), root());
        let path = env::join_paths([&first, &second]).unwrap();
        assert_eq!(search(&path, &["README.absent", "Cargo.toml"]), Some(first.join("Cargo.toml")));
        assert_eq!(search(&path, &["Cargo.lock", "Cargo.toml"]), Some(second.join("Cargo.lock")));
        assert_eq!(search(&path, &["xtask"]), None, "a directory is no program");
    }
}
