use super::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use neap_protocol::ids::{DrainId, SlaveId};
use neap_protocol::resources::Resources;
use neap_protocol::text::Name;
use redb::StorageBackend;
use redb::backends::FileBackend;

const E1: Epoch = Epoch(1);

fn admit(seq: u64) -> Work {
    append(
        E1,
        seq,
        Operation::AdmitSlave {
            name: Name::new(&format!("slave-{seq}")).unwrap(),
            address: Text::EMPTY,
            resources: Resources::new(1000, 1 << 30),
        },
    )
}

fn append(epoch: Epoch, seq: u64, operation: Operation) -> Work {
    Work::Append { epoch, seq: Seq(seq), operation }
}

fn line(number: u32) -> Work {
    let line = ReceiptLine::Opened {
        slave: SlaveId(number),
        name: Name::new("slave").unwrap(),
        by: Name::new("ada").unwrap(),
        reason: Text::EMPTY,
        deadline: None,
    };
    Work::Record { receipt: ReceiptId::Drain(DrainId(1)), at: Moment(u64::from(number)), line }
}

fn answers(store: &mut Store, batch: Vec<Work>) -> Vec<String> {
    let mut told = Vec::new();
    store.work(batch, &mut |reply| {
        told.push(match reply {
            Reply::Stored { epoch, seq } => format!("stored {epoch} {seq}"),
            Reply::Failed { epoch, seq, .. } => format!("failed {epoch} {seq}"),
            Reply::Recovered(registry) => format!("recovered {}", registry.slaves().len()),
            Reply::Receipt { lines, .. } => {
                let numbers: Vec<u64> = lines.unwrap().iter().map(|(at, _)| at.0).collect();
                format!("receipt {numbers:?}")
            }
        });
    });
    told
}

fn receipt() -> Work {
    Work::Receipt { session: SessionId(1), request: 1, receipt: ReceiptId::Drain(DrainId(1)) }
}

#[test]
fn a_batch_is_one_write_and_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    assert_eq!(store.epoch(), Epoch(0));
    let batch = vec![append(E1, 1, Operation::Lead { epoch: E1 }), line(1), admit(2), line(2), admit(3)];
    assert_eq!(answers(&mut store, batch), ["stored e1 w3"]);
    let in_use = Store::open(directory.path()).unwrap_err();
    assert!(matches!(in_use, StoreError::InUse { .. }), "{in_use}");
    let before = store.registry.clone();
    drop(store);
    let mut store = Store::open(directory.path()).unwrap();
    assert_eq!((store.epoch(), &store.registry), (E1, &before));
    assert_eq!(answers(&mut store, vec![Work::Recover, receipt()]), ["recovered 2", "receipt [1, 2]"]);
}

/// R30: who was followed by another leader writes nothing more.
#[test]
fn a_lower_epoch_is_fenced_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    let lead = append(Epoch(2), 1, Operation::Lead { epoch: Epoch(2) });
    assert_eq!(answers(&mut store, vec![lead]), ["stored e2 w1"]);
    assert_eq!(answers(&mut store, vec![admit(7)]), ["failed e1 w7"]);
    assert!(store.registry.slaves().is_empty());
}

#[test]
fn a_snapshot_replaces_the_log_and_leads_to_the_same_registry() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    store.logged_max = 3;
    for seq in 1..=7 {
        answers(&mut store, vec![admit(seq)]);
    }
    assert_eq!(store.logged, 1, "two snapshots were made");
    let before = store.registry.clone();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!((store.registry, store.logged), (before, 1));
}

#[test]
fn a_newer_format_and_a_torn_file_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    transaction.open_table(META).unwrap().insert(META_FORMAT, FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let newer = Store::open(directory.path()).unwrap_err();
    assert!(matches!(newer, StoreError::Newer { found: 2, .. }), "{newer}");
    fs::write(directory.path().join(FILE), vec![7; 9000]).unwrap();
    let torn = Store::open(directory.path()).unwrap_err();
    assert!(matches!(torn, StoreError::Damaged { .. }), "{torn}");
}

/// R28: a registry that can be read, and contradicts itself, is not led with.
#[test]
fn a_registry_that_contradicts_itself_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    answers(&mut store, vec![admit(1)]);
    store.snapshot().unwrap();
    let written = postcard::to_allocvec(&store.registry).unwrap();
    // S1 is admitted, and no slave has ever been.
    let highest = postcard::to_allocvec(&store.registry.epoch).unwrap().len();
    let mut changed = written;
    changed[highest] = 0;
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    transaction.open_table(SNAPSHOT).unwrap().insert(SNAPSHOT_REGISTRY, changed.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let refused = Store::open(directory.path()).unwrap_err().to_string();
    let file = directory.path().join(FILE);
    let expected = format!(
        "the registry {} is damaged (it contradicts itself: an id is higher than the highest that was given): \
         restore it from a copy; or move it away to begin with an empty one, which slaves register with anew",
        file.display()
    );
    assert_eq!(refused, expected);
}

/// A disk that is full while `full` is set.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> Result<(), io::Error> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.room()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }
}

#[test]
fn a_full_disk_refuses_until_the_leader_has_heard_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let full = Arc::<AtomicBool>::default();
    let disk = Arc::clone(&full);
    let open: Open = Box::new(move |file| {
        let file = fs::File::options().read(true).write(true).create(true).truncate(false).open(file);
        let file = FileBackend::new(file.map_err(StorageError::Io)?)?;
        Database::builder().create_with_backend(Disk { file, full: Arc::clone(&disk) })
    });
    let place = Place { file: directory.path().join(FILE), open };
    let mut store = Store::open_with(place, LOGGED_MAX).unwrap();
    assert_eq!(answers(&mut store, vec![admit(1), line(1)]), ["stored e1 w1"]);

    full.store(true, Ordering::SeqCst);
    assert_eq!(answers(&mut store, vec![admit(2), line(2), admit(3)]), ["failed e1 w2"]);
    assert_eq!(store.registry.slaves().len(), 1);
    full.store(false, Ordering::SeqCst);
    // Asked for before the leader heard: it takes them for failed.
    assert_eq!(answers(&mut store, vec![admit(4)]), [""; 0]);
    assert_eq!(answers(&mut store, vec![Work::Resume, admit(5)]), ["stored e1 w5"]);
    assert_eq!(answers(&mut store, vec![receipt()]), ["receipt [1, 2]"]);
    let before = store.registry.clone();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.registry, before);
    let names: Vec<_> = before.slaves().values().map(|slave| slave.name.to_string()).collect();
    assert_eq!(names, ["slave-1", "slave-5"]);
}
