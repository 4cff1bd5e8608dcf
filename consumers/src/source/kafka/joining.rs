//! Joining the group and leaving it.
use super::{
    Kafka, Settings,
    callbacks::{Client, Context},
    instance_id::Membership,
};
use crate::source::Link;
use anyhow::Context as _;
use rdkafka::consumer::Consumer;
use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::{Duration, Instant},
};

pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Of it, until a static member has said that it leaves.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// Leaves the group, waiting for it a few seconds at most.
impl Drop for Kafka {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        // Held until the client is gone: nobody else may have the name before.
        let name = self.membership.take();
        let (done, closed) = mpsc::channel();
        thread::spawn(move || {
            if name.is_some() {
                leave(&client);
            }
            if client.close_queue().is_ok() {
                while !client.closed() {
                    drop(client.poll(Duration::from_millis(50)));
                }
            }
            drop(client);
            drop(name);
            let _ = done.send(());
        });
        if closed.recv_timeout(CLOSE_WAIT).is_err() {
            tracing::warn!(
                "the group was not left in time; the broker notices by its session timeout"
            );
        }
    }
}

/// librdkafka lets a static member close without leaving its group, and its partitions would wait for the session to
/// end. Who unsubscribes leaves.
fn leave(client: &Client) {
    let context = client.context();
    if !context.link.joined.load(Ordering::Relaxed) {
        return;
    }
    let until = Instant::now() + LEAVE_WAIT;
    client.unsubscribe();
    while !context.has_left() && Instant::now() < until {
        drop(client.poll(Duration::from_millis(10)));
    }
}

/// The client of these settings, under the name if there is one.
pub(super) fn client(
    settings: &Settings,
    membership: Option<&Membership>,
    link: &Arc<Link>,
) -> anyhow::Result<Arc<Client>> {
    let mut config = settings.client_config().map_err(|all| anyhow::anyhow!(all.join("\n")))?;
    if let Some(membership) = membership {
        config.set("group.instance.id", &membership.id);
    }
    let client: Client = config
        .create_with_context(Context::of(link.clone()))
        .context("no Kafka client can be made of these settings")?;
    Ok(Arc::new(client))
}

/// Joins the group.
pub(super) fn subscribe(client: &Client, settings: &Settings) -> anyhow::Result<()> {
    let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
    client.subscribe(&topics).context("the topics cannot be subscribed to")
}
