use std::fs;
use std::os::unix::fs::symlink;

use super::*;

async fn told(changes: &mut watch::Receiver<u64>) -> bool {
    // Shorter than LOOK_EVERY: it must be the sign that told.
    tokio::time::timeout(Duration::from_secs(5), changes.changed())
        .await
        .is_ok_and(|changed| changed.is_ok())
}

fn watching(paths: &[&Path]) -> (FileWatcher, watch::Receiver<u64>) {
    let watcher = FileWatcher::start().unwrap();
    watcher.watch(&paths.iter().map(|path| path.to_path_buf()).collect());
    let changes = watcher.changes();
    (watcher, changes)
}

#[tokio::test]
async fn a_file_written_or_put_in_place_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.json");
    fs::write(&path, "one").unwrap();
    let (_watcher, mut changes) = watching(&[&path]);

    fs::write(&path, "two").unwrap();
    assert!(told(&mut changes).await, "written in place");

    let new = directory.path().join(".gateway.json.swp");
    fs::write(&new, "three").unwrap();
    fs::rename(&new, &path).unwrap();
    assert!(told(&mut changes).await, "renamed over");

    fs::remove_file(&path).unwrap();
    assert!(told(&mut changes).await, "removed");

    fs::write(&path, "four").unwrap();
    assert!(told(&mut changes).await, "come back");
}

#[tokio::test]
async fn a_config_map_is_followed() {
    // Kubernetes: gateway.json -> ..data/gateway.json, ..data -> ..1, and ..data is replaced.
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for version in ["..1", "..2"] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("gateway.json"), version).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/gateway.json", at("gateway.json")).unwrap();
    let (_watcher, mut changes) = watching(&[&at("gateway.json")]);

    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert!(told(&mut changes).await);
}

#[tokio::test]
async fn other_files_in_the_directory_are_not_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.json");
    let other = directory.path().join("other");
    fs::write(&path, "one").unwrap();
    let (watcher, mut changes) = watching(&[&path]);
    // Put in place at once, so that no look can find a change half done.
    let put = |path: &Path, text: &str| {
        let new = directory.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, path).unwrap();
    };
    put(&other, "noise");
    put(&path, "two");
    assert!(told(&mut changes).await);

    watcher.watch(&BTreeSet::from([other.clone()]));
    put(&path, "three");
    put(&other, "more noise");
    assert!(told(&mut changes).await, "the set can be changed");
    assert_eq!(*changes.borrow(), 2, "one for each change that counts");
}

#[tokio::test]
async fn a_missing_directory_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let (watcher, _) = watching(&[&directory.path().join("none/gateway.json")]);
    assert!(lock(&watcher.watched).directories.is_empty());
}
