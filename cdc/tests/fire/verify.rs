//! The product's own word: `cdc verify` of each service, beside the quiet check.
use crate::{
    fleet::{CREDENTIALS, Fleet, SERVICES},
    stack::DSN,
};
use anyhow::ensure;
use std::process::Command;

/// Each must say exact (exit code 0). One service after the other: they keep their views in tables of different names.
pub fn exact(fleet: &Fleet) -> anyhow::Result<()> {
    for service in SERVICES {
        let out = Command::new(env!("CARGO_BIN_EXE_cdc"))
            .args(["verify", service.name(), "--source-dsn", DSN])
            .args(["--marker-table", "public.cdc_marker"])
            .args(fleet.place.arguments(service))
            .envs(CREDENTIALS)
            .output()?;
        let said = String::from_utf8_lossy(&out.stdout);
        let errors = String::from_utf8_lossy(&out.stderr);
        ensure!(
            out.status.success(),
            "cdc verify {}: {}\n{said}{errors}",
            service.name(),
            out.status
        );
    }
    Ok(())
}
