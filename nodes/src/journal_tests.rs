//! Journals on a disk, whole, torn, damaged, full and slow.

use neap_protocol::executor::{Config, Effect, Executor, Input};
use neap_protocol::journal::{Entry, Run, read};
use neap_protocol::outbox::Outbox;
use neap_protocol::transport::Role;

use super::*;

const CONFIG: Config = Config { recovery_timeout: Millis(7) };

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn options(directory: &Path) -> Options {
    Options { file: directory.join("x.journal"), effects: false, gather: GATHER }
}

fn open(options: &Options) -> Result<Journal, JournalError> {
    Journal::open::<Executor>(Some(options), &name("x"), &CONFIG)
}

/// Lets a machine take inputs, and records them.
fn live(journal: &mut Journal, inputs: &[Input]) {
    let (mut machine, mut outbox) = (Executor::new(), Outbox::new());
    for input in inputs {
        journal.input(input);
        machine.handle(&CONFIG, input.clone(), &mut outbox);
        journal.effects(outbox.as_slice());
        outbox.drain();
    }
}

fn inputs() -> [Input; 3] {
    let session = SessionId(1);
    [Input::Start, Input::Opened { session }, Input::Closed { session }]
}

fn runs(bytes: &[u8]) -> Vec<Run<Executor>> {
    read(bytes).unwrap().runs.iter().map(|run| run.decode().unwrap()).collect()
}

fn told(run: &Run<Executor>) -> Vec<Input> {
    let inputs = run.entries.iter().filter_map(|entry| match entry {
        Entry::Input(record) => Some(record.input.clone()),
        Entry::Session { .. } => None,
    });
    inputs.collect()
}

#[test]
fn each_start_of_a_node_is_a_run() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path());
    for run in 1..=3 {
        let mut journal = open(&options).unwrap();
        journal.session(SessionId(1), Some(LinkId([run; 8])));
        live(&mut journal, &inputs());
        drop(journal);
        let bytes = fs::read(&options.file).unwrap();
        assert_eq!(read(&bytes).unwrap().damage, None);
        let runs = runs(&bytes);
        assert_eq!(runs.len(), usize::from(run));
        for run in runs {
            assert_eq!((told(&run), run.end), (inputs().to_vec(), Some(End::InOrder)));
        }
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&options.file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "environments of commands are in it");
}

#[test]
fn nothing_is_recorded_where_nothing_is_asked_for() {
    let mut journal = Journal::open::<Executor>(None, &name("x"), &CONFIG).unwrap();
    live(&mut journal, &inputs());
    assert!(!journal.is_on());
}

#[test]
fn what_a_crash_tore_is_cut_off_and_damage_is_put_aside() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path());
    let mut journal = open(&options).unwrap();
    live(&mut journal, &inputs());
    drop(journal);
    let whole = fs::read(&options.file).unwrap();
    let zeros = [&whole[..], &[0; 100]].concat();
    for torn in [&whole[..whole.len() - 1], &zeros, &whole[..20], &whole[..3], &[]] {
        fs::write(&options.file, torn).unwrap();
        drop(open(&options).unwrap());
        let bytes = fs::read(&options.file).unwrap();
        assert_eq!(read(&bytes).unwrap().damage, None, "{} bytes", torn.len());
        assert!(runs(&bytes).len() < 3);
    }
    for count in 1..=2 {
        let mut flipped = whole.clone();
        flipped[30] ^= 1;
        fs::write(&options.file, &flipped).unwrap();
        drop(open(&options).unwrap());
        assert_eq!(runs(&fs::read(&options.file).unwrap()).len(), 1, "a fresh one");
        let aside = place.path().join(format!("x.journal.damaged-{count}"));
        assert_eq!(fs::read(aside).unwrap(), flipped);
    }
}

#[test]
fn a_file_that_is_not_its_own_is_refused_and_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path());
    let first = open(&options).unwrap();
    let error = open(&options).unwrap_err().to_string();
    assert!(error.contains("is being written by another node"), "{error}");
    drop(first);
    let before = fs::read(&options.file).unwrap();
    let error = Journal::open::<Executor>(Some(&options), &name("y"), &CONFIG).unwrap_err().to_string();
    assert!(error.contains("the journal of executor x") && error.contains("--journal"), "{error}");
    assert_eq!(fs::read(&options.file).unwrap(), before);
    fs::write(&options.file, "[cluster]\n").unwrap();
    let error = open(&options).unwrap_err().to_string();
    assert!(error.contains("no journal"), "{error}");
    assert_eq!(fs::read(&options.file).unwrap(), b"[cluster]\n");
    let nowhere = Options { file: place.path().join("no/such/file"), effects: false, gather: GATHER };
    let error = open(&nowhere).unwrap_err().to_string();
    assert!(error.contains("failed to write the journal") && error.contains("No such file"), "{error}");
}

#[test]
fn a_machine_that_panics_leaves_the_input_that_it_panicked_over() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path());
    let mut journal = open(&options).unwrap();
    live(&mut journal, &inputs());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        journal.input(&Input::Terminate);
        panic!("as a machine would");
    }));
    assert!(panicked.is_err());
    let runs = runs(&fs::read(&options.file).unwrap());
    assert_eq!(runs[0].end, None);
    let Some(Entry::Input(last)) = runs[0].entries.last() else { panic!("{runs:?}") };
    assert_eq!(
        (&last.input, &last.effects),
        (&Input::Terminate, &neap_protocol::journal::Effects::Unanswered)
    );
}

/// A disk in memory, with room for so many bytes, that can be held up.
#[derive(Clone)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    held: Arc<Mutex<()>>,
    chain: Chain,
    room: usize,
}

impl Disk {
    fn new(room: usize) -> Self {
        let mut bytes = MAGIC.to_vec();
        let header = Header::new::<Executor>(name("x"), Text::EMPTY, driver::now());
        let chain = seal_run(Chain::START, &header, &CONFIG, &mut bytes).unwrap();
        let room = room + bytes.len();
        Self { bytes: Arc::new(Mutex::new(bytes)), held: Arc::default(), chain, room }
    }
}

impl Storage for Disk {
    fn name(&self) -> String {
        "disk".into()
    }

    fn chain(&self) -> Chain {
        self.chain
    }

    fn append(&mut self, frame: &[u8], chain: Chain) -> io::Result<()> {
        let _held = self.held.lock().unwrap();
        let mut bytes = self.bytes.lock().unwrap();
        if bytes.len() + frame.len() > self.room {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        bytes.extend(frame);
        self.chain = chain;
        Ok(())
    }
}

/// Records until the journal stops.
fn fill(journal: &mut Journal) -> usize {
    let effects = vec![Effect::Exit { code: 0 }; 1000];
    let mut count = 0;
    while journal.is_on() {
        journal.input(&Input::Start);
        journal.effects(&effects);
        count += 1;
    }
    count
}

#[test]
fn a_full_disk_ends_the_journal_where_it_is_whole_and_it_says_so() {
    let disk = Disk::new(100_000);
    let mut journal = Journal(Some(Open::start(disk.clone(), Instant::now(), true, GATHER).unwrap()));
    fill(&mut journal);
    live(&mut journal, &inputs());
    drop(journal);
    let bytes = disk.bytes.lock().unwrap().clone();
    assert_eq!(read(&bytes).unwrap().damage, None);
    let Some(End::Stopped(cause)) = &runs(&bytes)[0].end else { panic!("it does not say that it stopped") };
    assert!(cause.as_str().contains("could not be written"), "{cause}");
}

#[test]
fn a_slow_disk_holds_up_no_node() {
    let disk = Disk::new(usize::MAX / 2);
    let held = disk.held.lock().unwrap();
    let mut journal = Journal(Some(Open::start(disk.clone(), Instant::now(), true, GATHER).unwrap()));
    let shared = Arc::clone(&journal.0.as_ref().unwrap().shared);
    // It returns while the disk takes nothing at all. That the journal is dropped waits for the disk.
    let open = journal.0.as_mut().unwrap();
    for _ in 0..1000 {
        open.recorder.input(Millis(0), &Input::Start).unwrap();
        open.recorder.effects(&vec![Effect::Exit { code: 0 }; 100]).unwrap();
    }
    let many = open.recorder.items().clone();
    while open.hand_over() {
        open.recorder.items().extend(&many);
    }
    assert!(shared.lock().items.len() <= WAITING_MAX && shared.lock().late);
    drop(held);
    drop(journal);
    let bytes = disk.bytes.lock().unwrap().clone();
    assert_eq!(read(&bytes).unwrap().damage, None);
    let Some(End::Stopped(cause)) = &runs(&bytes)[0].end else { panic!("it does not say that it stopped") };
    assert!(cause.as_str().contains("too slow"), "{cause}");
}

#[test]
fn the_header_says_whose_it_is() {
    let place = tempfile::tempdir().unwrap();
    let options = options(place.path());
    drop(open(&options).unwrap());
    let bytes = fs::read(&options.file).unwrap();
    let header = read(&bytes).unwrap().runs[0].header.clone();
    assert_eq!((header.role, header.name.as_str()), (Role::Executor, "x"));
    assert!(header.program.as_str().starts_with("neap "));
}
