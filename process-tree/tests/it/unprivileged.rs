//! Root is not needed: the same endings as an ordinary user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Stdio;

use neap_process_tree::{Means, Survivors, Trees};

use crate::sandbox::{HOSTILE, HOSTILE_PROCESSES, Sandbox, options, within};

/// Runs as the other user: hostile trees by whatever means this user has, each ended.
#[tokio::test]
async fn ordinary_user() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    assert!(!rustix::process::geteuid().is_root());
    let mut kept = Vec::new();
    for means in Means::ALL {
        let directory = tempfile::tempdir_in(&directory).expect("a directory");
        let trees = match Trees::open(options(directory.path(), Some(means))) {
            Ok(trees) => trees,
            Err(error) => {
                eprintln!("ordinary user: {error}");
                continue;
            }
        };
        let sandbox = Sandbox::around(trees, directory);
        let tree = sandbox.launch("hostile", HOSTILE);
        sandbox.ready.times(HOSTILE_PROCESSES).await;
        assert!(sandbox.alive().len() >= HOSTILE_PROCESSES);
        let ending = within("the end", tree.end(None)).await.expect("ended");
        assert_eq!(ending.survivors, Survivors::None);
        sandbox.assert_all_dead();
        kept.push(means);
    }
    assert!(kept.contains(&Means::Subreaper), "it needs nothing");
    let best = Trees::open(options(std::path::Path::new(&directory), None)).expect("some means");
    assert_eq!(kept.first(), Some(&best.means()));
    assert_eq!(best.passed_over().len(), 3 - kept.len());
    fs::write(std::path::Path::new(&directory).join("kept"), words(&kept)).expect("written");
}

#[test]
fn root_is_not_needed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: these tests already run as an ordinary user");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("given away");
    // Where this program lies, another user may not be able to go.
    let program = directory.path().join("it");
    // Copied by another process: what is open for writing here might just be inherited by a child of another test,
    // and cannot be executed then.
    let own = std::env::current_exe().expect("this program");
    let copied = std::process::Command::new("cp").args([&own, &program]).status().expect("cp");
    assert!(copied.success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let nobody = NOBODY.to_string();
    let run = std::process::Command::new("setpriv")
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
        .arg(&program)
        .args(["--exact", "unprivileged::ordinary_user", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .env("TMPDIR", directory.path())
        .current_dir("/")
        .stdin(Stdio::null())
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: cannot become another user: setpriv: {error}");
            return;
        }
    };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{told}", String::from_utf8_lossy(&output.stdout));
    let kept = fs::read_to_string(directory.path().join("kept")).expect("it ran to its end");
    eprintln!("an ordinary user here keeps trees by: {kept}");
}

fn words(kept: &[Means]) -> String {
    kept.iter().map(|means| means.word()).collect::<Vec<_>>().join(", ")
}

const DIRECTORY: &str = "NEAP_TEST_UNPRIVILEGED";
const NOBODY: u32 = 65534;
