//! Answers of HTTP/1.1 on a connection that stays open.

/// The answer at the start of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// Bytes that it takes.
    pub length: usize,
    /// The server closes the connection after it.
    pub is_last: bool,
}

/// What is received is no answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

/// Longest answer that is taken.
pub const MAX_ANSWER: usize = 1 << 20;

/// The answer at the start of `bytes`, if it is there whole.
pub fn answer(bytes: &[u8]) -> Result<Option<Answer<'_>>, Broken> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or(Broken)?;
    let mut lines = head.lines();
    let mut start = lines.next().unwrap_or_default().split(' ');
    let is_http = start.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = start.next().and_then(|status| status.parse().ok()).filter(|_| is_http);
    let status = status.ok_or(Broken)?;
    let (mut length, mut chunked, mut is_last) = (0, false, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().map_err(|_| Broken)?;
        }
        chunked |=
            name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked");
        is_last |= name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close");
    }
    let start = end + 4;
    let rest = bytes.get(start..).unwrap_or_default();
    if chunked {
        let Some(length) = chunks(rest)? else { return Ok(None) };
        let body = rest.get(..length).unwrap_or_default();
        return Ok(Some(Answer { status, body, length: start + length, is_last }));
    }
    if length > MAX_ANSWER {
        return Err(Broken);
    }
    // A switch of protocols and an empty answer have no body, whatever they say.
    if matches!(status, 100..=199 | 204 | 304) {
        length = 0;
    }
    let body = rest.get(..length);
    Ok(body.map(|body| Answer { status, body, length: start + length, is_last }))
}

/// Bytes that a chunked body takes, if it is there whole.
fn chunks(bytes: &[u8]) -> Result<Option<usize>, Broken> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(rest, b"\r\n") else { return Ok(None) };
        let line = rest.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(Broken)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Broken)?;
        if size > MAX_ANSWER || at > MAX_ANSWER {
            return Err(Broken);
        }
        at += end + 2 + size + 2;
        if bytes.len() < at {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<(u16, usize)> {
        answer(bytes).unwrap().map(|answer| (answer.status, answer.length))
    }

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let bytes = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 201";
        assert_eq!(read(bytes), Some((201, 45)));
        assert_eq!(answer(bytes).unwrap().unwrap().body, b"{}");
        assert_eq!(read(&bytes[..44]), None);
        assert_eq!(read(&bytes[..10]), None);
        assert_eq!(read(b"HTTP/1.1 204 No Content\r\n\r\nHTTP"), Some((204, 27)));
    }

    #[test]
    fn a_chunked_answer_ends_with_its_last_chunk() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = b"5\r\n0\r\n\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n";
        let bytes = [&head[..], body].concat();
        assert_eq!(read(&[&bytes[..], b"more"].concat()), Some((200, bytes.len())));
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(answer(b"SSH-2.0-OpenSSH\r\n\r\n"), Err(Broken));
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), Err(Broken));
        let huge = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
        assert_eq!(answer(huge), Err(Broken));
        let chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffff\r\n";
        assert_eq!(answer(chunk), Err(Broken));
    }
}
