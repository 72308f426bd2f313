//! The embedded store: what it keeps, what it refuses, and what is left after `kill -9`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateway_core::config::Secret;
use gateway_core::snapshot::Revision;
use tempfile::tempdir;

use super::embedded::MAX_REVISIONS;
use super::{Draft, EmbeddedStore, SecretId, Store, StoreError};

fn draft(document: &str, secrets: &[&str]) -> Draft {
    let secret = |text: &&str| (SecretId::of(text.as_bytes()), Secret::new(text.as_bytes()));
    Draft {
        document: document.to_owned(),
        secrets: secrets.iter().map(secret).collect(),
    }
}

fn secret_files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("secrets")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let directory = tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.read(None).await.unwrap(), None);
    assert_eq!(
        store
            .commit(Revision(0), draft("one", &["key"]))
            .await
            .unwrap(),
        Revision(1)
    );
    assert_eq!(
        store.commit(Revision(1), draft("two", &[])).await.unwrap(),
        Revision(2)
    );
    drop(store);

    let store = EmbeddedStore::open(directory.path()).unwrap();
    let latest = store.read(None).await.unwrap().unwrap();
    assert_eq!(
        (latest.revision, latest.document.as_str()),
        (Revision(2), "two")
    );
    let first = store.read(Some(Revision(1))).await.unwrap().unwrap();
    assert_eq!(first.secrets, draft("", &["key"]).secrets);
    assert_eq!(store.read(Some(Revision(9))).await.unwrap(), None);
    let history = store.history().await.unwrap();
    assert_eq!(
        history
            .iter()
            .map(|entry| entry.revision.0)
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

#[tokio::test]
async fn a_commit_after_another_revision_than_the_latest_is_a_conflict() {
    let directory = tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store.commit(Revision(0), draft("one", &[])).await.unwrap();
    for expected in [0, 2] {
        let refused = store.commit(Revision(expected), draft("other", &[])).await;
        assert!(
            matches!(
                refused,
                Err(StoreError::Conflict {
                    actual: Revision(1),
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(store.read(None).await.unwrap().unwrap().document, "one");
}

#[tokio::test]
async fn a_second_opener_is_told_who_is_in_the_way() {
    let directory = tempdir().unwrap();
    let _store = EmbeddedStore::open(directory.path()).unwrap();
    let refused = EmbeddedStore::open(directory.path()).err().unwrap();
    assert!(
        refused
            .to_string()
            .contains("in use by another gateway process"),
        "{refused}"
    );
}

#[tokio::test]
async fn secrets_are_the_owners_alone_and_go_with_the_last_revision_that_names_them() {
    let directory = tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store
        .commit(Revision(0), draft("0", &["old"]))
        .await
        .unwrap();
    let secrets = directory.path().join("secrets");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&secrets), 0o700);
    assert_eq!(mode(&secrets.join(SecretId::of(b"old").as_str())), 0o600);

    for revision in 1..=MAX_REVISIONS {
        assert!(secret_files(directory.path()).contains(&SecretId::of(b"old").to_string()));
        store
            .commit(Revision(revision), draft("n", &["new"]))
            .await
            .unwrap();
    }
    assert_eq!(
        secret_files(directory.path()),
        [SecretId::of(b"new").to_string()]
    );
    let history = store.history().await.unwrap();
    assert_eq!(history.first().unwrap().revision, Revision(2));
    assert_eq!(history.len() as u64, MAX_REVISIONS);
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_swept_at_the_next_start() {
    let directory = tempdir().unwrap();
    drop(EmbeddedStore::open(directory.path()).unwrap());
    let unnamed = SecretId::of(b"never committed").to_string();
    for name in [unnamed.clone(), format!("{unnamed}.new")] {
        fs::write(directory.path().join("secrets").join(name), "half").unwrap();
    }
    fs::write(directory.path().join("gateway.redb.new"), "half").unwrap();
    drop(EmbeddedStore::open(directory.path()).unwrap());
    assert!(secret_files(directory.path()).is_empty());
}

#[tokio::test]
async fn damage_is_reported_and_never_a_panic() {
    let directory = tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store
        .commit(Revision(0), draft("one", &["key"]))
        .await
        .unwrap();
    let secret = directory
        .path()
        .join("secrets")
        .join(SecretId::of(b"key").as_str());
    fs::write(&secret, "tampered").unwrap();
    let refused = store.read(None).await.unwrap_err();
    assert!(refused.to_string().contains("is damaged"), "{refused}");
    fs::remove_file(&secret).unwrap();
    assert!(matches!(
        store.read(None).await,
        Err(StoreError::Corrupt { .. })
    ));
    drop(store);

    let database = directory.path().join("gateway.redb");
    let sound = fs::read(&database).unwrap();
    let flipped = |range: Range<usize>| {
        let mut bytes = sound.clone();
        bytes[range].iter_mut().for_each(|byte| *byte ^= 0xff);
        bytes
    };
    let damaged = [
        Vec::new(),
        b"not a database".to_vec(),
        sound[..5000].to_vec(),
        flipped(0..1),
        flipped(64..320),
        flipped(4096..sound.len()),
    ];
    for bytes in damaged {
        fs::write(&database, &bytes).unwrap();
        let refused = EmbeddedStore::open(directory.path()).err();
        let refused = refused.map_or("opened".to_owned(), |error| error.to_string());
        assert!(
            refused.contains("is damaged"),
            "{} bytes: {refused}",
            bytes.len()
        );
    }
}

/// The writer of the test below, in a process of its own: commits until it is killed, and says each
/// revision that was acknowledged.
#[tokio::test]
async fn crash_writer() {
    let Some(directory) = std::env::var_os("STORE_CRASH_WRITER") else {
        return;
    };
    let store = EmbeddedStore::open(Path::new(&directory)).unwrap();
    let mut latest = store
        .read(None)
        .await
        .unwrap()
        .map_or(0, |stored| stored.revision.0);
    loop {
        let revision = store
            .commit(Revision(latest), numbered(latest + 1))
            .await
            .unwrap();
        latest = revision.0;
        println!("acknowledged {latest}");
    }
}

/// A revision whose every part tells its number.
fn numbered(number: u64) -> Draft {
    let filler = number.to_string().repeat(2000);
    draft(&filler, &[&format!("secret of {number}")])
}

#[tokio::test]
async fn after_kill_nine_the_latest_is_the_acknowledged_or_the_one_in_flight_whole() {
    let directory = tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..20 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::crash_writer", "--nocapture"])
            .env("STORE_CRASH_WRITER", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(writer.stdout.take().unwrap());
        live_for(Duration::from_micros(delay(round)));
        writer.kill().unwrap();
        writer.wait().unwrap();
        for line in output.lines() {
            if let Some(number) = line.unwrap().strip_prefix("acknowledged ") {
                acknowledged = number.parse().unwrap_or(acknowledged);
            }
        }

        let store = EmbeddedStore::open(directory.path()).unwrap();
        let latest = store.read(None).await.unwrap();
        let found = latest.as_ref().map_or(0, |stored| stored.revision.0);
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "round {round}: {found} after {acknowledged} was acknowledged"
        );
        if let Some(stored) = latest {
            let whole = numbered(found);
            assert_eq!(stored.document, whole.document);
            assert_eq!(stored.secrets, BTreeMap::from_iter(whole.secrets));
        }
        acknowledged = found;
    }
    assert!(acknowledged > 0, "no writer lived long enough to commit");
}

#[expect(
    clippy::disallowed_methods,
    reason = "no wait for a state: the very point is to die at any moment"
)]
fn live_for(time: Duration) {
    std::thread::sleep(time);
}

/// Delays from 1 ms to 200 ms, different in every round and every run.
fn delay(round: u64) -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    1_000 + (u64::from(now.subsec_nanos()) / 7 + round * 9_973) % 199_000
}
