//! Leaders that are copies of this very program: it runs without the test harness, whose threads cannot be copied.

use std::cell::RefCell;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use neap_process_tree::template::{self, CopyError, Offspring, Template};
use neap_process_tree::{Command, Exit, LaunchError, Means, Options, Output, Survivors, Tree, Trees};

type Outcome = Result<(), Box<dyn Error>>;

/// The word that makes this program a template.
const TEMPLATE: &str = "be-a-template";

fn main() -> Outcome {
    if std::env::args().nth(1).as_deref() == Some(TEMPLATE) {
        return be_a_template();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tests = async {
            copies_are_leaders().await?;
            a_template_that_is_gone_is_found_out_and_leaves_nothing().await?;
            what_cannot_be_a_leader_says_why().await
        };
        tokio::time::timeout(Duration::from_secs(60), tests).await??;
        println!("copies are leaders: ok");
        Ok(())
    })
}

/// A copy writes who it is, and does what it is told.
fn be_a_template() -> Outcome {
    let Some(word) = template::copies()? else { return Ok(()) };
    let word = String::from_utf8(word)?;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").ok_or("a stat")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let [parent, group, session] = [fields[1], fields[2], fields[3]];
    let mut open: Vec<String> = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.push(entry?.file_name().into_string().map_err(|_| "a number")?);
    }
    open.sort();
    println!("{}", std::env::current_dir()?.display());
    println!("{} {parent} {group} {session}", std::process::id());
    println!("{}", open.join(" "));
    println!("{}", std::env::var("SHARED")?);
    println!("{word}");
    eprintln!("problem");
    match word.as_str() {
        "stay" => std::thread::sleep(Duration::from_secs(600)),
        // As an executor does, whose task outlives it.
        "leave" => drop(std::process::Command::new("sleep").arg("600").spawn()?),
        code => std::process::exit(code.parse()?),
    }
    Ok(())
}

struct Place {
    directory: tempfile::TempDir,
    trees: Trees,
    copied: RefCell<Vec<Tree>>,
}

/// Whatever fails, no tree outlives its test.
impl Drop for Place {
    fn drop(&mut self) {
        for tree in self.copied.get_mut() {
            let _killed = tree.kill();
        }
    }
}

impl Place {
    /// `None`, having said so, where there are no control groups.
    fn open() -> Result<Option<Place>, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let state = directory.path().join("state");
        let options = Options { name: "templates".into(), state, means: Some(Means::Cgroup) };
        match Trees::open(options) {
            Ok(trees) => Ok(Some(Place { directory, trees, copied: RefCell::default() })),
            Err(error) => {
                eprintln!("skipped: {error}");
                Ok(None)
            }
        }
    }

    fn template(&self) -> Result<Template, Box<dyn Error>> {
        let command = Command {
            stdout: Output::Null,
            ..Command::new("template", std::env::current_exe()?, self.directory.path())
        };
        Ok(Template::start(&command.arguments([TEMPLATE]).variable("SHARED", "by all"))?)
    }

    fn copy(&self, template: &Template, offspring: &Offspring) -> Result<Tree, CopyError> {
        let tree = self.trees.copy(template, offspring)?;
        self.copied.borrow_mut().push(tree.clone());
        Ok(tree)
    }

    fn offspring(&self, name: &str, word: &str) -> Result<Offspring, Box<dyn Error>> {
        let directory = self.directory.path().join(name);
        fs::create_dir_all(&directory)?;
        let [stdout, stderr] = ["stdout", "stderr"].map(|file| Output::File(file.into()));
        Ok(Offspring { name: name.into(), directory, stdout, stderr, word: word.into() })
    }
}

async fn copies_are_leaders() -> Outcome {
    let Some(place) = Place::open()? else { return Ok(()) };
    let template = place.template()?;
    for (name, word, code) in [("a", "0", 0), ("b", "7", 7)] {
        let offspring = place.offspring(name, word)?;
        let tree = place.copy(&template, &offspring)?;
        let ending = tree.seen_dead().await?;
        assert_eq!(
            (ending.leader, ending.survivors),
            (Some(Exit::Code(code)), Survivors::None),
            "its end is seen, as its parent's"
        );
        let told = fs::read_to_string(offspring.directory.join("stdout"))?;
        let (me, pid) = (std::process::id(), tree.pid());
        let directory = offspring.directory.canonicalize()?;
        let expected = format!("{}\n{pid} {me} {pid} {pid}\n0 1 2 3\nby all\n{word}\n", directory.display());
        assert_eq!(told, expected, "directory; pid, parent, group, session; descriptors; environment; word");
        assert_eq!(fs::read_to_string(offspring.directory.join("stderr"))?, "problem\n");
    }
    // Named by the number and the start time of its own, like any other leader.
    let left = place.copy(&template, &place.offspring("c", "leave")?)?;
    assert_eq!(left.wait_leader().await?, Exit::Code(0));
    assert!(members(&left)?, "what it started lives on");
    let taken = place.copy(&template, &place.offspring("c", "0")?);
    assert!(matches!(taken, Err(CopyError::Launch(LaunchError::NameTaken(_)))), "{taken:?}");
    let ending = left.end(None).await?;
    assert_eq!(ending.survivors, Survivors::None);
    Ok(())
}

async fn a_template_that_is_gone_is_found_out_and_leaves_nothing() -> Outcome {
    let Some(place) = Place::open()? else { return Ok(()) };
    let template = place.template()?;
    let stays = place.copy(&template, &place.offspring("stays", "stay")?)?;
    drop(template);
    assert!(members(&stays)?, "a tree outlives its template");
    let command = Command::new("short", "true", place.directory.path());
    let no_template = Template::start(&command)?;
    let refused = place.copy(&no_template, &place.offspring("x", "0")?);
    assert!(matches!(refused, Err(CopyError::Template(_))), "{refused:?}");
    // The name is free again: the same tree can be launched by executing its program.
    let mut command = Command::new("x", "true", place.directory.path());
    command.stdout = Output::Null;
    let executed = place.trees.launch(&command)?;
    assert_eq!(executed.seen_dead().await?.leader, Some(Exit::Code(0)));
    assert_eq!(stays.end(None).await?.survivors, Survivors::None);
    Ok(())
}

async fn what_cannot_be_a_leader_says_why() -> Outcome {
    let Some(place) = Place::open()? else { return Ok(()) };
    let template = place.template()?;
    let absent = Offspring { directory: "/no/such/sandbox".into(), ..place.offspring("d", "0")? };
    let refused = place.copy(&template, &absent);
    assert!(matches!(refused, Err(CopyError::Launch(LaunchError::Directory { .. }))), "{refused:?}");
    let endless = Offspring { word: vec![b'x'; template::WORD_MAX + 1], ..place.offspring("e", "0")? };
    assert!(matches!(place.copy(&template, &endless), Err(CopyError::Template(_))));
    if !rustix::process::geteuid().is_root() {
        let closed = place.offspring("closed", "0")?;
        fs::set_permissions(&closed.directory, fs::Permissions::from_mode(0o000))?;
        let refused = place.copy(&template, &closed);
        assert!(matches!(refused, Err(CopyError::Launch(_))), "{refused:?}");
    }
    // Nothing of it is left, and the template makes the next.
    let tree = place.copy(&template, &place.offspring("d", "3")?)?;
    assert_eq!(tree.wait_leader().await?, Exit::Code(3));
    tree.end(None).await?;
    Ok(())
}

/// Whether something of the tree lives, by its control group.
fn members(tree: &Tree) -> Result<bool, Box<dyn Error>> {
    let group = format!("tree-{}/", tree.name());
    let mut found = false;
    for entry in fs::read_dir("/proc")? {
        let own = fs::read_to_string(entry?.path().join(Path::new("cgroup"))).unwrap_or_default();
        found |= own.lines().any(|line| format!("{line}/").contains(&group));
    }
    Ok(found)
}
