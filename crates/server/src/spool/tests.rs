//! The spool on a real directory: what was kept is found again, whatever happened to the files.

use std::{fs, net::IpAddr, path::Path};

use proptest::prelude::*;
use tidings_core::{
    idempotency::IdempotencyClaim, ids::NotificationId, ports::Accept, time::Timestamp,
};
use tidings_testkit::{message, user};

use super::{
    segment::{SegmentId, VERSION, encode, payload, scan},
    *,
};

const ID: SegmentId = SegmentId { number: 1, salt: 0x1234_5678_9abc_def0 };
const BOUNDS: Bounds = Bounds { bytes: 1 << 20, records: 1_000 };

fn record(n: u64, key: Option<&str>) -> Record {
    let now = Timestamp::from_millis(1_800_000_000_000 + i64::try_from(n).unwrap());
    let message = message(now).with(|parts| parts.message = format!("n{n}")).build();
    let idempotency = key.map(|key| IdempotencyClaim {
        scope: "key_1".into(),
        key: key.into(),
        fingerprint: [7; 32],
        note: String::new(),
    });
    let accept = Accept { messages: vec![message], idempotency, now };
    Record::new(accept, "key_1".into(), IpAddr::from([127, 0, 0, 1]))
}

fn open(dir: &Path) -> Spool {
    Spool::open(dir.to_owned(), BOUNDS).unwrap()
}

async fn fill(spool: &Spool, count: u64) -> Vec<NotificationId> {
    let mut ids = Vec::new();
    for n in 0..count {
        let record = record(n, None);
        spool.append(&record).await.unwrap();
        ids.extend(record.ids());
    }
    ids
}

async fn waiting(spool: &Spool) -> Vec<NotificationId> {
    let mut ids = Vec::new();
    loop {
        let front = spool.front().await.unwrap();
        if front.is_empty() {
            return ids;
        }
        for waiting in front {
            ids.extend(waiting.record.as_ref().ok().unwrap().ids());
            spool.done(&waiting);
        }
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = names.filter(|path| path.extension() == Some("seg".as_ref())).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_kept_comes_out_in_order_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open_with(dir.path().to_owned(), BOUNDS, 2_000).unwrap();
    let ids = fill(&spool, 50).await;
    assert!(segments(dir.path()).len() > 3, "rotated");
    assert_eq!(spool.level().records, 50);
    for waiting in &spool.front().await.unwrap()[..20] {
        spool.done(waiting);
    }
    drop(spool);
    let spool = open(dir.path());
    assert_eq!(spool.level().records, 30);
    assert!(!spool.is_passable().await);
    assert_eq!(waiting(&spool).await, ids[20..]);
    spool.settle(true).await;
    assert!(spool.is_passable().await);
    assert_eq!(segments(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(spool.level().bytes, 0);
    fill(&spool, 1).await;
    assert_eq!(spool.level().records, 1);
}

#[tokio::test]
async fn a_record_that_is_held_keeps_those_behind_it_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let first = spool.append(&record(1, None)).await.unwrap();
    let second = spool.append(&record(2, None)).await.unwrap();
    assert!(spool.front().await.unwrap().is_empty());
    drop(second);
    assert!(spool.front().await.unwrap().is_empty());
    drop(first);
    assert_eq!(spool.front().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_request_is_found_by_its_key_until_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let kept = record(1, Some("k1"));
    spool.append(&kept).await.unwrap();
    spool.append(&record(2, None)).await.unwrap();
    let spool = {
        drop(spool);
        open(dir.path())
    };
    let found = spool.find("key_1", "k1").await.unwrap().unwrap();
    assert!(found.ids().eq(kept.ids()));
    assert!(spool.find("key_2", "k1").await.unwrap().is_none());
    assert_eq!(waiting(&spool).await.len(), 2);
    assert!(spool.find("key_1", "k1").await.unwrap().is_none());
}

#[tokio::test]
async fn the_bounds_hold_and_room_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds { bytes: 1 << 20, records: 3 };
    let spool = Spool::open(dir.path().to_owned(), bounds).unwrap();
    fill(&spool, 3).await;
    assert!(spool.level().full);
    assert_eq!(spool.append(&record(4, None)).await.unwrap_err(), SpoolError::Full);
    assert_eq!(waiting(&spool).await.len(), 3);
    spool.append(&record(5, None)).await.unwrap();
    drop(spool);
    let bounds = Bounds { bytes: 1_000, records: 100 };
    let spool = Spool::open(dir.path().to_owned(), bounds).unwrap();
    while spool.append(&record(6, None)).await.is_ok() {}
    let level = spool.level();
    assert!(level.full || level.bytes <= 1_000, "{level:?}");
    let on_disk: u64 =
        segments(dir.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(on_disk, level.bytes);
}

#[tokio::test]
async fn the_clock_may_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let (late, early) = (record(3_600_000, None), record(0, None));
    spool.append(&late).await.unwrap();
    spool.append(&early).await.unwrap();
    let expected: Vec<_> = late.ids().chain(early.ids()).collect();
    assert_eq!(waiting(&spool).await, expected, "in the order in which they came");
}

#[tokio::test]
async fn a_torn_end_is_cut_off_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ids = fill(&spool, 3).await;
    drop(spool);
    let path = segments(dir.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let found =
        scan(SegmentId::parse(path.file_name().unwrap().to_str().unwrap()).unwrap(), &whole);
    for length in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..length]).unwrap();
        let spool = open(dir.path());
        let whole_records = found.records.iter().filter(|record| record.end <= length).count();
        assert_eq!(spool.level().records, whole_records as u64, "{length}");
        let front = spool.front().await.unwrap();
        let read: Vec<_> =
            front.iter().flat_map(|w| w.record.as_ref().ok().unwrap().ids()).collect();
        assert_eq!(read, ids[..whole_records], "{length}");
        drop(spool);
        assert!(segments(dir.path()).contains(&path));
    }
}

#[tokio::test]
async fn around_a_damaged_place_everything_is_kept_and_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ids = fill(&spool, 5).await;
    drop(spool);
    let path = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&path, &bytes).unwrap();
    let spool = open(dir.path());
    let left: Vec<_> = [&ids[..2], &ids[3..]].concat();
    assert_eq!(waiting(&spool).await, left);
    assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bytes);
    spool.settle(true).await;
    assert_eq!(spool.level().bytes, bytes.len() as u64, "what is set aside counts");
}

#[tokio::test]
async fn what_nobody_can_read_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path()).unwrap();
    let mut bytes = b"TDSPOOL1".to_vec();
    encode(ID, VERSION + 1, b"{\"of\":\"the future\"}", &mut bytes);
    encode(ID, VERSION, b"no json", &mut bytes);
    let kept = record(1, None);
    encode(ID, VERSION, &kept.encode(), &mut bytes);
    fs::write(ID.path(dir.path()), bytes).unwrap();
    let spool = open(dir.path());
    for _ in 0..2 {
        let front = spool.front().await.unwrap();
        assert!(front[0].record.is_err());
        spool.bury(&front[0], Reason::Unreadable, Timestamp::EPOCH).await.unwrap();
    }
    let dead = fs::read_to_string(dir.path().join("dead.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["request"]["of"], "the future");
    assert_eq!((&lines[1]["text"], &lines[1]["reason"]), (&"no json".into(), &"unreadable".into()));
    assert_eq!(waiting(&spool).await, kept.ids().collect::<Vec<_>>());
}

#[tokio::test]
async fn many_share_a_sync_and_all_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let records: Vec<_> = (0..200).map(|n| record(n, None)).collect();
    let appends = records.iter().map(|record| spool.append(record));
    let held = futures_util::future::join_all(appends).await;
    assert!(held.iter().all(Result::is_ok));
    drop(held);
    let expected: Vec<_> = records.iter().flat_map(Record::ids).collect();
    assert_eq!(waiting(&spool).await, expected);
}

#[test]
fn a_record_says_what_the_request_said() {
    let text = "\0 \u{feff} \u{1f600}";
    let data = r#"{"n":123456789012345678901234567890,"e":1e400,"half":"\ud800"}"#;
    let now = Timestamp::from_millis(1_800_000_000_000);
    let new = message(now).to(&[user("alice"), user("bob")]).with(|parts| {
        parts.message = text.into();
        parts.data = serde_json::value::RawValue::from_string(data.into()).unwrap().into();
    });
    let new = new.build();
    let accept = Accept { messages: vec![new.clone()], idempotency: None, now };
    let record = Record::new(accept, "key_1".into(), IpAddr::from([127, 0, 0, 1]));
    let again = Record::decode(VERSION, &record.encode()).unwrap().to_accept();
    let message = &again.messages[0];
    assert_eq!(message.message.tail(), new.message.tail());
    assert_eq!((&message.recipients, again.now), (&new.recipients, now));
    assert_eq!(message.message.data.get(), data);
    assert_eq!(again.idempotency.unwrap().scope, "spool");
}

/// Payloads as they are: JSON text.
fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(0x20u8..0x7f, 1..60), 0..12)
}

fn file(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"TDSPOOL1".to_vec();
    payloads.iter().for_each(|payload| encode(ID, VERSION, payload, &mut bytes));
    bytes
}

fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
    scan(ID, bytes).records.iter().map(|record| payload(bytes, record).1.to_vec()).collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read(payloads in payloads()) {
        let bytes = file(&payloads);
        let found = scan(ID, &bytes);
        prop_assert!(!found.damaged);
        prop_assert_eq!(found.sound_to, bytes.len());
        prop_assert_eq!(read(&bytes), payloads);
    }

    #[test]
    fn cut_anywhere_it_holds_what_was_whole(payloads in payloads(), cut in any::<prop::sample::Index>()) {
        let bytes = file(&payloads);
        let bytes = &bytes[..cut.index(bytes.len() + 1)];
        let found = read(bytes);
        prop_assert_eq!(&found[..], &payloads[..found.len()]);
        prop_assert!(!scan(ID, bytes).damaged);
    }

    #[test]
    fn with_a_bit_turned_one_record_is_lost_and_none_is_wrong(
        payloads in payloads(), at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let mut bytes = file(&payloads);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let found = read(&bytes);
        if at < 8 {
            prop_assert_eq!(found, payloads);
        } else {
            let mut rest = payloads.iter();
            prop_assert!(found.iter().all(|payload| rest.any(|written| written == payload)));
            prop_assert_eq!(found.len(), payloads.len() - 1);
        }
    }

    #[test]
    fn of_noise_nothing_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&bytes).is_empty());
    }

    #[test]
    fn the_records_of_another_file_are_none_of_this(payloads in payloads(), salt in any::<u64>()) {
        prop_assume!(salt != ID.salt);
        let other = SegmentId { salt, ..ID };
        prop_assert!(scan(other, &file(&payloads)).records.is_empty());
    }
}
