//! Sees to it that what was said last is with the system, before a program ends.
//!
//! quinn only marks a connection as closed when it is asked to close it; a task of its own, which drives the connection,
//! sends that when it runs next. quinn can be waited for until every connection has *drained*: that is three times what
//! an answer could take, some 80 ms on one machine, in which nothing is sent but to a peer that has not heard. So this is
//! tokio as quinn knows it, whose tasks can be made to run once more, and waited for until they have.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::sync::Notify;

/// The tasks that drive an endpoint and its connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How many rounds were asked for.
    asked: AtomicU64,
    tasks: Mutex<Vec<Weak<Task>>>,
    /// Somebody has run its last asked round, or has ended.
    went: Notify,
}

#[derive(Debug, Default)]
struct Task {
    waker: Mutex<Option<Waker>>,
    /// The last round that was asked for when a run of it began that is over.
    done: AtomicU64,
}

impl Rounds {
    /// Waits until every task has run once from its beginning to its end: each sends all that it may send now. One whose
    /// socket takes nothing more has done the same, and what it has is lost if the program ends then.
    pub(crate) async fn run(&self) {
        let Shared { asked, went, .. } = &*self.0;
        let round = asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut waiting: Vec<Arc<Task>> = self.0.tasks().iter().filter_map(Weak::upgrade).collect();
        for task in &waiting {
            if let Some(waker) = &*lock(&task.waker) {
                waker.wake_by_ref();
            }
        }
        loop {
            let one_went = went.notified();
            let mut one_went = std::pin::pin!(one_went);
            // From here on none is missed.
            one_went.as_mut().enable();
            waiting.retain(|task| task.done.load(Ordering::SeqCst) < round);
            if waiting.is_empty() {
                return;
            }
            one_went.await;
        }
    }
}

impl Shared {
    fn tasks(&self) -> MutexGuard<'_, Vec<Weak<Task>>> {
        lock(&self.tasks)
    }
}

impl Runtime for Rounds {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let task = Arc::<Task>::default();
        {
            let mut tasks = self.0.tasks();
            // Those that have ended go when they would make the list grow: they are at most as many as those that live.
            if tasks.len() == tasks.capacity() {
                tasks.retain(|task| task.strong_count() > 0);
                let living = tasks.len();
                tasks.reserve(living.max(1));
            }
            tasks.push(Arc::downgrade(&task));
        }
        TokioRuntime.spawn(Box::pin(Driver { future, task, shared: Arc::clone(&self.0) }));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// One of quinn's tasks.
struct Driver {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    task: Arc<Task>,
    shared: Arc<Shared>,
}

impl Driver {
    fn has_done(&self, round: u64) {
        if self.task.done.swap(round, Ordering::SeqCst) < round {
            self.shared.went.notify_waiters();
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut *lock(&self.task.waker) {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        // After the waker is there: whoever asks from here on can wake it, and who asked before is heard.
        let round = self.shared.asked.load(Ordering::SeqCst);
        let polled = self.future.as_mut().poll(context);
        self.has_done(round);
        polled
    }
}

impl Drop for Driver {
    /// Nobody is to wait for it.
    fn drop(&mut self) {
        self.has_done(u64::MAX);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("task", &self.task).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
