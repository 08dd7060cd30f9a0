//! Globs of room names in tokens: `*` stands for any run of characters, also an empty one.

/// Whether `name` matches `pattern`. Takes time linear in both for each `*`, at most.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star stood, and what it has swallowed up to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if name.get(n) == Some(byte) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    n = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name) in [
            ("post:*", "post:1"),
            ("*", "x"),
            ("post:a*c*e", "post:abcde"),
            ("a", "a"),
            ("*:1", "team:1"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("post:*", "task:1"), ("post:1", "post:12"), ("", "x"), ("a*b", "ac")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
