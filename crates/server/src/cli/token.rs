//! `tidings token`

use anyhow::Context as _;
use clap::Args;
use jiff::SignedDuration;
use tidings_core::{ids::UserId, ports::Clock as _};

use super::{Global, say};
use crate::{
    auth::{Claims, Granted, sign},
    clock::SystemClock,
    data_dir,
};

#[derive(Args)]
pub(super) struct Token {
    /// Whom the token is for
    #[arg(long)]
    user: String,
    /// A role that the token carries; may be given several times
    #[arg(long)]
    role: Vec<String>,
    /// How long it is valid, such as 1h or 30m
    #[arg(long, default_value = "1h", allow_hyphen_values = true)]
    ttl: SignedDuration,
    /// Print the token alone (it always does; for symmetry with `keys create`)
    #[arg(long)]
    quiet: bool,
}

impl Token {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let config = global.load()?;
        let secret = match &config.auth.jwt_secret {
            Some(secret) => secret.clone(),
            None if data_dir::is_dev(&config.data_dir) => data_dir::dev_secret(&config.data_dir)?,
            None => anyhow::bail!(
                "no secret to sign with: set TIDINGS_JWT_SECRET, or name a --data-dir that --dev made"
            ),
        };
        let user = UserId::new(&self.user).context("--user")?;
        let now = SystemClock.now();
        let seconds = now.as_millis() / 1000;
        let exp = u64::try_from(seconds.saturating_add(self.ttl.as_secs())).context("--ttl")?;
        let rights = Granted { roles: self.role, ..Granted::default() }.into();
        let claims = Claims { rights, ..Claims::user(user, exp).issued(now) };
        say(sign(&claims, &secret, &config.auth)?);
        Ok(())
    }
}
