//! Notices that a runtime made its socket anew.

use std::{future, path::PathBuf, time::Duration};

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often it is looked without a notice: a folder that did not exist cannot be watched.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Watches the folders of the endpoints.
pub(super) struct Watch {
    folders: Vec<PathBuf>,
    notices: Option<EventStream<[u8; 1024]>>,
    tick: Interval,
}

impl Watch {
    pub(super) fn new(endpoints: &[PathBuf]) -> Self {
        let mut folders: Vec<_> =
            endpoints.iter().filter_map(|path| path.parent()).map(Into::into).collect();
        folders.sort();
        folders.dedup();
        let notices = Inotify::init().and_then(|notices| notices.into_event_stream([0; 1024]));
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
            () = noticed(notices) => {}
            _ = tick.tick() => {
                for folder in folders.iter() {
                    // Again and again: the folder may be new. The same one is watched only once.
                    if let Some(notices) = notices {
                        let changes = WatchMask::CREATE | WatchMask::MOVED_TO;
                        let _ = notices.watches().add(folder, changes);
                    }
                }
            }
        }
    }
}

async fn noticed(notices: &mut Option<EventStream<[u8; 1024]>>) {
    let Some(stream) = notices else { return future::pending().await };
    // What happened does not matter: all endpoints are looked at.
    if !matches!(stream.next().await, Some(Ok(_))) {
        *notices = None;
    }
}
