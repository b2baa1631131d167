//! What a program is born with, and why it may not be born.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use neap_process_tree::{Command, Exit, LaunchError, OpenError, Output, Trees};

use crate::over_all_means;
use crate::sandbox::{Sandbox, options, within};

over_all_means!(
    a_program_is_born_clean,
    a_failed_launch_names_its_cause_and_leaves_nothing,
    a_name_is_taken_while_its_tree_lives,
);

async fn a_program_is_born_clean(sandbox: Sandbox) {
    // Not closed on execution, as a careless library might leave it.
    let stray = fs::File::open("/dev/null").expect("a file");
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).expect("inheritable");
    let script = "pwd; echo $ONE; env | sort | tr '\\n' ' '; echo
        readlink /proc/self/fd/0; grep -E '^Sig(Blk|Ign)' /proc/self/status
        cut -d' ' -f5,6 /proc/self/stat; echo problem >&2";
    let command =
        Command { environment: vec![("ONE".into(), "1 = one".into())], ..sandbox.shell("clean", script) };
    let tree = sandbox.trees().launch(&command).expect("launched");
    let ending = within("the end", tree.seen_dead()).await.expect("seen");
    assert_eq!(ending.leader, Some(Exit::Code(0)));

    let told = fs::read_to_string(sandbox.path().join("stdout")).expect("stdout");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], sandbox.path().to_str().expect("a path"));
    assert_eq!(lines[1], "1 = one");
    let inherited = lines[2].split_whitespace().filter(|word| word.contains('='));
    let inherited: Vec<&str> = inherited.filter(|word| !word.starts_with("PWD=")).collect();
    assert_eq!(inherited, ["ONE=1", "="], "{}", lines[2]);
    assert_eq!(lines[3], "/dev/null");
    assert_eq!(lines[4], "SigBlk:\t0000000000000000");
    assert_eq!(lines[5], "SigIgn:\t0000000000000000", "even SIGPIPE, which this process ignores");
    let group_and_session: Vec<&str> = lines[6].split(' ').collect();
    let leader = tree.pid().to_string();
    assert_eq!(group_and_session, [&leader, &leader], "a session of its own");
    assert_eq!(fs::read_to_string(sandbox.path().join("stderr")).expect("stderr"), "problem\n");

    let listing = Command {
        stdout: Output::File("descriptors".into()),
        ..Command::new("listing", "ls", sandbox.path()).arguments(["/proc/self/fd"])
    };
    let tree = sandbox.trees().launch(&listing).expect("launched");
    within("the end", tree.seen_dead()).await.expect("seen");
    let listed = fs::read_to_string(sandbox.path().join("descriptors")).expect("stdout");
    assert_eq!(listed, "0\n1\n2\n3\n", "its streams and the listed directory, nothing of this process's");
    drop(stray);
}

async fn a_failed_launch_names_its_cause_and_leaves_nothing(sandbox: Sandbox) {
    let path = |name: &str| sandbox.path().join(name);
    fs::write(path("plain"), "text").expect("written");
    fs::write(path("garbage"), "\x01\x02").expect("written");
    fs::write(path("orphan"), "#!/no/such/interpreter\n").expect("written");
    for executable in ["garbage", "orphan"] {
        fs::set_permissions(path(executable), fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let of = |program: &str| Command::new("x", program, sandbox.path());
    let refused = |command: Command| sandbox.trees().launch(&command).expect_err("refused");
    let long = vec!["x".repeat(100_000); 200];

    assert!(matches!(refused(of("./absent")), LaunchError::NoSuchProgram { .. }));
    assert!(matches!(refused(of("/etc/passwd/x")), LaunchError::NoSuchProgram { .. }));
    assert!(matches!(refused(of("surely-no-such-program")), LaunchError::NotInPath { .. }));
    assert!(matches!(refused(of("sh").variable("PATH", "/nowhere")), LaunchError::NotInPath { .. }));
    assert!(matches!(refused(of("./plain")), LaunchError::NotExecutable { .. }));
    assert!(matches!(refused(of("/")), LaunchError::NotExecutable { .. }));
    assert!(matches!(refused(of("./garbage")), LaunchError::NotAProgram { .. }));
    assert!(matches!(refused(of("./orphan")), LaunchError::NoInterpreter { .. }));
    assert!(matches!(refused(of("true").arguments(long)), LaunchError::TooLong));
    assert!(matches!(refused(of("true").arguments(["\0"])), LaunchError::ZeroByte(_)));
    assert!(matches!(refused(of("true").variable("A=B", "")), LaunchError::VariableName(_)));
    let elsewhere = Command { directory: path("no-sandbox"), ..of("true") };
    assert!(matches!(refused(elsewhere), LaunchError::Directory { .. }));
    let file = Command { directory: path("plain"), ..of("true") };
    assert!(matches!(refused(file), LaunchError::Directory { .. }));
    let unwritable = Command { stdout: Output::File("no/such/directory".into()), ..of("true") };
    assert!(matches!(refused(unwritable), LaunchError::Stream { .. }));
    for name in ["", "..", "a/b", ".hidden", "a b", &"n".repeat(201)] {
        let named = Command { name: name.to_owned(), ..of("true") };
        assert!(matches!(refused(named), LaunchError::Name(_)), "{name:?}");
    }
    assert_eq!(
        refused(of("./plain")).to_string(),
        "program \"./plain\" may not be executed by this user: `chmod +x` it, or check `noexec` mounts"
    );

    let tree = sandbox.trees().launch(&of("true")).expect("the name is free");
    let ending = within("the end", tree.seen_dead()).await.expect("seen");
    assert_eq!(ending.leader, Some(Exit::Code(0)));
    let state = fs::read_dir(path("state")).expect("state").flatten().map(|entry| entry.file_name());
    assert_eq!(state.collect::<Vec<_>>(), ["lock"], "no record is left");
}

async fn a_name_is_taken_while_its_tree_lives(sandbox: Sandbox) {
    let tree = sandbox.launch("one", "echo ready > ready; read x < hold");
    sandbox.ready.times(1).await;
    let second = sandbox.trees().launch(&sandbox.shell("one", "exit 0")).expect_err("taken");
    assert!(matches!(second, LaunchError::NameTaken(name) if name == "one"));
    assert_eq!(sandbox.alive().len(), 1, "the first is left alone");
    within("the end", tree.end(None)).await.expect("ended");
    let third = sandbox.launch("one", "exit 0");
    within("the end", third.seen_dead()).await.expect("ended");
}

#[tokio::test]
async fn one_slave_at_a_time_uses_a_state_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = Trees::open(options(directory.path(), None)).expect("opened");
    let second = Trees::open(options(directory.path(), None)).expect_err("in use");
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
    drop(first);
    Trees::open(options(directory.path(), None)).expect("free again");
}

#[test]
fn a_state_directory_that_cannot_be_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let refused = Trees::open(options(file.path(), None)).expect_err("a file is no directory");
    assert!(matches!(refused, OpenError::State { .. }), "{refused}");
}
