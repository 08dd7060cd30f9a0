//! Looks whether the certificate was renewed.

use tokio::task::spawn_blocking;

use crate::state::AppState;

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    spawn_blocking(move || {
        if let Some(certificate) = &state.certificate {
            certificate.refresh();
        }
    })
    .await?;
    Ok(())
}
