//! Until when a certificate is valid: the one field of it that rustls does not tell (RFC 5280 §4.1).

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` in seconds since the Unix epoch.
pub(super) fn valid_until(certificate: &[u8]) -> Option<i64> {
    let mut outer = Der(certificate);
    let mut certificate = Der(outer.expect(SEQUENCE)?);
    let mut fields = Der(certificate.expect(SEQUENCE)?);
    // The version comes first only if it is not 1; then the serial number.
    let (tag, _) = fields.next()?;
    if tag == VERSION {
        fields.next()?;
    }
    let (_signature, _issuer) = (fields.next()?, fields.next()?);
    let mut validity = Der(fields.expect(SEQUENCE)?);
    let _not_before = validity.next()?;
    match validity.next()? {
        (UTC_TIME, time) => {
            let century = if number(time.get(..2)?)? < 50 { "20" } else { "19" };
            seconds(&[century.as_bytes(), time].concat())
        }
        (GENERALIZED_TIME, time) => seconds(time),
        _ => None,
    }
}

/// Values with a tag and a length, one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // No certificate is larger than what three bytes count.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

/// `YYYYMMDDHHMMSSZ`.
fn seconds(time: &[u8]) -> Option<i64> {
    if time.len() != 15 || time.last() != Some(&b'Z') {
        return None;
    }
    let part = |from, to| number(time.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    (fits && hour < 24 && minute < 60 && second <= 60)
        .then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    let mut value = 0;
    for digit in digits {
        value = value * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some(value)
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that a leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(seconds(b"19700101000000Z"), Some(0));
        assert_eq!(seconds(b"20000229235959Z"), Some(951_868_799));
        assert_eq!(seconds(b"20380119031408Z"), Some(1 << 31));
        assert_eq!(seconds(b"99991231235959Z"), Some(253_402_300_799));
        for wrong in [&b"20001301000000Z"[..], b"2000010100000Z", b"20000101000000+", b""] {
            assert_eq!(seconds(wrong), None);
        }
    }

    #[test]
    fn a_certificate_tells_its_end_and_a_torn_one_nothing() {
        let key = rcgen::KeyPair::generate().expect("a key");
        for (year, end) in [(2031, 1_932_595_200), (2061, 2_879_366_400)] {
            let mut params =
                rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
            params.not_after = rcgen::date_time_ymd(year, 3, 30);
            let certificate = params.self_signed(&key).expect("a certificate");
            assert_eq!(valid_until(certificate.der()), Some(end));
            for length in 0..120 {
                assert_eq!(valid_until(&certificate.der()[..length]), None);
            }
        }
    }
}
