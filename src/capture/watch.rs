//! Notices that a runtime made its socket anew.

use std::{future, io, mem::MaybeUninit, os::fd::OwnedFd, path::PathBuf, time::Duration};

use super::poll;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::{
    io::unix::AsyncFd,
    time::{Interval, MissedTickBehavior, interval},
};

/// How often it is looked without a notice: a folder that did not exist cannot be watched.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Watches the folders of the endpoints.
pub(super) struct Watch {
    folders: Vec<PathBuf>,
    notices: Option<AsyncFd<OwnedFd>>,
    tick: Interval,
}

impl Watch {
    pub(super) fn new(endpoints: &[PathBuf]) -> Self {
        let mut folders: Vec<_> =
            endpoints.iter().filter_map(|path| path.parent()).map(Into::into).collect();
        folders.sort();
        folders.dedup();
        let notices = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(poll::owned);
        if let Err(error) = &notices {
            tracing::debug!(%error, "no inotify; sockets are looked at every {LOOK_EVERY:?}");
        }
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { folders, notices: notices.ok(), tick }
    }

    /// Waits until the endpoints should be looked at again. Losing the future loses nothing that the
    /// next look would not see.
    pub(super) async fn changed(&mut self) {
        let Self { folders, notices, tick } = self;
        tokio::select! {
            () = noticed(notices.as_ref()) => {}
            _ = tick.tick() => {
                for folder in folders.iter() {
                    // Again and again: the folder may be new. The same one is watched only once.
                    if let Some(notices) = notices {
                        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO;
                        let _ = inotify::add_watch(notices, folder, flags);
                    }
                }
            }
        }
    }
}

async fn noticed(notices: Option<&AsyncFd<OwnedFd>>) {
    let Some(notices) = notices else { return future::pending().await };
    let Ok(mut guard) = notices.readable().await else { return future::pending().await };
    let mut space = [MaybeUninit::uninit(); 1024];
    // What happened does not matter: all endpoints are looked at.
    while rustix::io::read(guard.get_inner(), &mut space).is_ok_and(|(read, _)| !read.is_empty()) {}
    guard.clear_ready();
}
