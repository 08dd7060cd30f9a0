//! Limits on the texts of a notification, and where its actions may lead.

use crate::problem::FieldErrors;

/// Longest title and message, in bytes of UTF-8.
pub const MAX_TITLE: usize = 256;
pub const MAX_MESSAGE: usize = 4096;
/// Longest type name, entity type, tenant, key and trace id, in bytes.
pub const MAX_LABEL: usize = 128;
/// Longest address of an action, in bytes.
pub const MAX_URL: usize = 2048;

pub fn check_length(errors: &mut FieldErrors, pointer: &str, text: &str, most: usize) {
    if text.len() > most {
        errors.add(pointer, "TOO_LONG", format!("must have at most {most} bytes"));
    }
}

/// A label is a short, printable key: 1 to [`MAX_LABEL`] bytes without control characters.
pub fn check_label(errors: &mut FieldErrors, pointer: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    if text.is_empty() {
        errors.add(pointer, "EMPTY", "must not be empty");
    } else if text.chars().any(char::is_control) {
        errors.add(pointer, "BAD_CHARACTER", "must not hold control characters");
    }
    check_length(errors, pointer, text, MAX_LABEL);
}

/// Whether an address may stand behind a button: https, http, or relative to the
/// application. Anything that a browser could run (`javascript:`, `data:`) is refused.
pub fn is_safe_url(url: &str) -> bool {
    if url.is_empty() || url.len() > MAX_URL {
        return false;
    }
    // Browsers drop tabs and newlines and trim spaces before they look at the scheme, and
    // read `\` as `/`: what holds any of these is not an address that anybody meant.
    if url.chars().any(|c| c.is_control() || c == ' ' || c == '\\') {
        return false;
    }
    let scheme_end = url.find([':', '/', '?', '#']);
    match scheme_end {
        Some(at) if url[at..].starts_with(':') => {
            let rest = &url[at..];
            let scheme = url[..at].to_ascii_lowercase();
            matches!(scheme.as_str(), "https" | "http") && rest.len() > 3 && rest.starts_with("://")
        }
        // `//host` would leave the application without saying so.
        _ => !url.starts_with("//"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_addresses_are_https_http_or_relative() {
        for good in
            ["https://a.example/x", "HTTP://a.example", "/posts/1", "posts/1?x=a:b", "#x", "?q"]
        {
            assert!(is_safe_url(good), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "JaVaScript:x",
            "java\nscript:x",
            " javascript:x",
            "data:text/html,x",
            "//evil.example",
            "\\\\evil",
            "/\\evil",
            "https:",
            "https://",
            "vbscript:x",
            "mailto:a@b",
        ] {
            assert!(!is_safe_url(bad), "{bad}");
        }
    }
}
