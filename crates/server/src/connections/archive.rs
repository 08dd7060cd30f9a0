//! Where ended connections go before they are removed: zstd-compressed JSON lines (RFC 8878), in
//! a directory or in a bucket that speaks S3.

use anyhow::Context as _;
use jiff::{Timestamp as Instant, tz::TimeZone};
use object_store::{
    ObjectStore, ObjectStoreExt as _, aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
};
use serde::Serialize;
use tidings_core::{connection::Connection, time::Timestamp};

/// Of zstd: fast, and a tenth of the size.
const LEVEL: i32 = 3;

pub struct Archive {
    objects: Box<dyn ObjectStore>,
    prefix: Path,
}

/// A line. What it leaves out is nobody's business any more: which token it was.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: String,
    user_id: &'a str,
    socket_id: &'a str,
    node_id: &'a str,
    client: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    connected_at: Timestamp,
    disconnected_at: Option<Timestamp>,
    reason: Option<&'a str>,
}

impl Archive {
    /// `file:///DIRECTORY`, or `s3://BUCKET/PREFIX` with the usual `AWS_…` variables.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        if let Some(directory) = url.strip_prefix("file://") {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("connections.archive: cannot make {directory}"))?;
            // What is here is removed from the database next: it has to survive a power cut.
            let objects = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
            return Ok(Self { objects: Box::new(objects), prefix: Path::default() });
        }
        let path = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let prefix = Path::parse(path.map_or("", |(_, prefix)| prefix))?;
        let objects = AmazonS3Builder::from_env().with_url(url).build();
        let objects = objects.with_context(|| format!("connections.archive: {url}"))?;
        Ok(Self { objects: Box::new(objects), prefix })
    }

    /// Keeps them in one object. Its name follows from the first of them, so that what is kept
    /// again after a crash takes the place of what was kept before.
    pub async fn keep(&self, ended: &[Connection]) -> anyhow::Result<()> {
        let Some(first) = ended.first() else { return Ok(()) };
        let lines: Vec<Connection> = ended.to_vec();
        let packed = tokio::task::spawn_blocking(move || pack(&lines)).await??;
        let day = day_of(first.disconnected_at.unwrap_or(first.seen_at))?;
        let name = format!("{day}/{}.jsonl.zst", first.id);
        let path = name.split('/').fold(self.prefix.clone(), Path::join);
        self.objects.put(&path, packed.into()).await?;
        Ok(())
    }
}

fn pack(ended: &[Connection]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    for connection in ended {
        serde_json::to_writer(&mut encoder, &Line::from(connection))?;
        std::io::Write::write_all(&mut encoder, b"\n")?;
    }
    Ok(encoder.finish()?)
}

/// `2026/11/21`.
fn day_of(at: Timestamp) -> anyhow::Result<String> {
    let day = Instant::from_millisecond(at.as_millis())?.to_zoned(TimeZone::UTC);
    Ok(day.strftime("%Y/%m/%d").to_string())
}

impl<'a> From<&'a Connection> for Line<'a> {
    fn from(connection: &'a Connection) -> Self {
        Self {
            id: connection.id.to_string(),
            user_id: connection.user.as_str(),
            socket_id: &connection.socket_id,
            node_id: &connection.node,
            client: connection.client.as_str(),
            device: connection.device.as_ref().map(|device| device.as_str()),
            ip: connection.ip.to_string(),
            user_agent: connection.user_agent.as_deref(),
            connected_at: connection.connected_at,
            disconnected_at: connection.disconnected_at,
            reason: connection.reason.as_deref(),
        }
    }
}
