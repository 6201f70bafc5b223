//! Points at which a test holds a fake server.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// See [`crate::Audit::wait_for`]: only failing tests ever wait that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gate, closed until it is released. Clones are the same gate.
///
/// ```
/// use eksnet_testkit::{Gate, Phase, PodScript};
///
/// let gate = Gate::new();
/// let script = PodScript::succeeds().hold(Phase::Running, &gate);
/// // ... start the plugin, then:
/// // gate.wait_reached(1);   a pod runs and will not end
/// gate.release();
/// ```
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    reached: Condvar,
    notify: Notify,
}

#[derive(Clone, Copy, Default)]
struct State {
    open: bool,
    reached: usize,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An open one.
    pub(crate) fn opened() -> Self {
        let gate = Self::new();
        gate.release();
        gate
    }

    /// Opens the gate for all who wait and all who come.
    pub fn release(&self) {
        self.lock().open = true;
        self.0.notify.notify_waiters();
    }

    /// Closes it again for those who come from now on.
    pub fn close(&self) {
        self.lock().open = false;
    }

    /// How many have come to the gate so far, held or not.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.lock().reached
    }

    /// Blocks until `n` have come to the gate.
    ///
    /// # Panics
    /// After a minute.
    pub fn wait_reached(&self, n: usize) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.lock();
        while state.reached < n {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {n} reached the gate", state.reached);
            state = self
                .0
                .reached
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// As [`Gate::wait_reached`], for async tests.
    ///
    /// # Panics
    /// After a minute.
    pub async fn until_reached(&self, n: usize) {
        let enough = async {
            loop {
                let woken = self.0.notify.notified();
                if self.lock().reached >= n {
                    return;
                }
                woken.await;
            }
        };
        if tokio::time::timeout(PATIENCE, enough).await.is_err() {
            panic!("{} of {n} reached the gate", self.reached());
        }
    }

    /// Comes to the gate and waits until it is open.
    pub(crate) async fn pass(&self) {
        self.lock().reached += 1;
        self.0.reached.notify_all();
        self.0.notify.notify_waiters();
        loop {
            let woken = self.0.notify.notified();
            if self.lock().open {
                return;
            }
            woken.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
