//! Replays the corpus of the fuzz targets through the very functions that they run, on stable Rust: what
//! fuzzing ever found stays found. Every prefix of a file is replayed too, as a connection can end anywhere.

use std::fs;
use std::path::Path;

#[path = "fuzz_bodies/engineio_payload.rs"]
mod engineio_payload;
#[path = "fuzz_bodies/socketio_decode.rs"]
mod socketio_decode;
#[path = "fuzz_bodies/websocket_decode.rs"]
mod websocket_decode;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let data = fs::read(entry.path()).unwrap_or_default();
        for end in 0..=data.len() {
            run(&data[..end]);
        }
        files += 1;
    }
    assert!(files > 0, "no corpus in {}", folder.display());
}

#[test]
fn websocket_decode_corpus() {
    replay("websocket_decode", websocket_decode::run);
}

#[test]
fn engineio_payload_corpus() {
    replay("engineio_payload", engineio_payload::run);
}

#[test]
fn socketio_decode_corpus() {
    replay("socketio_decode", socketio_decode::run);
}
