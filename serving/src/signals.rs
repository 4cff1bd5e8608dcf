//! SIGTERM and SIGINT.
use crate::EXIT_HALTED;
use anyhow::Context;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::sync::{Arc, atomic::AtomicBool};

/// A flag that SIGTERM and SIGINT set. The second signal ends the process at once, with [`EXIT_HALTED`].
///
/// # Errors
/// The system does not let signals be handled.
pub fn stop() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, EXIT_HALTED.into(), stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .context("signals cannot be handled")?;
    }
    Ok(stop)
}
