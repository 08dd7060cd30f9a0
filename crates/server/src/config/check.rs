//! What a configuration must fulfil, and what to do where it does not.

use std::time::Duration;

use tidings_core::{room::Rule, time::Timestamp};

use super::Config;

const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Shortest secret for HMAC signatures: as long as the shortest hash (RFC 7518 §3.2).
pub const MIN_SECRET: usize = 32;

/// All that is wrong with a configuration, a sentence each.
pub fn check(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let mut need = |ok: bool, problem: &str| {
        if !ok {
            problems.push(problem.to_owned());
        }
    };
    check_auth(config, &mut need);
    super::introspection::check(config, &mut need);
    check_backends(config, &mut need);
    check_gateway(config, &mut need);
    check_limits(config, &mut need);
    check_http(config, &mut need);
    check_rooms(config, &mut need);
    super::authorization::check(config, &mut need);
    super::presence::check(config, &mut need);
    super::socketio::check(config, &mut need);
    super::ingest::check(config, &mut need);
    super::connections::check(config, &mut need);
    super::cluster::check(config, &mut need);
    super::tls::check(config, &mut need);
    super::spool::check(config, &mut need);
    if config.dev {
        need(
            config.host.is_loopback(),
            "host: --dev listens on loopback addresses only; leave host out or set 127.0.0.1",
        );
    }
    need(
        config.retention.interval >= Duration::from_millis(10),
        "retention.interval: must be at least 10ms",
    );
    need(
        config.retention.erasure_settle <= Duration::from_secs(24 * 3600),
        "retention.erasure_settle: must be at most 24h",
    );
    need(
        config.lifecycle.announcement_pause >= Duration::from_millis(1),
        "lifecycle.announcement_pause: must be at least 1ms",
    );
    if let Err(problem) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        need(false, &format!("log.level: {problem}"));
    }
    for (name, spec) in &config.types {
        let fine = !name.is_empty() && name.len() <= 64 && !name.chars().any(char::is_control);
        need(fine, "types: a type's name has 1 to 64 characters");
        let fine = spec.retention.is_none_or(|kept| (MINUTE..=100 * YEAR).contains(&kept));
        need(fine, &format!("types.{name}.retention: must be between 1m and 100 years"));
    }
    problems
}

/// What is valid now, but will not be for long.
pub fn warnings(config: &Config, now: Timestamp) -> Vec<String> {
    super::tls::warnings(config, now)
}

fn check_auth(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let auth = &config.auth;
    if let Some(secret) = &auth.jwt_secret {
        need(
            secret.len() >= MIN_SECRET,
            "auth.jwt_secret (TIDINGS_JWT_SECRET): must have at least 32 bytes; make one with `openssl rand -hex 32`",
        );
    }
    let has_key = auth.jwt_secret.is_some()
        || !auth.keys.is_empty()
        || auth.jwks_url.is_some()
        || auth.introspection.url.is_some();
    need(
        has_key || config.dev,
        "auth: no key to check tokens with; set TIDINGS_JWT_SECRET, auth.keys, auth.jwks_url or auth.introspection (or try --dev)",
    );
    if let Some(url) = &auth.jwks_url {
        need(
            is_safe_address(url),
            "auth.jwks_url: must be an https address (http only on loopback)",
        );
    }
    for key in &auth.keys {
        if let Err(problem) = crate::auth::check_key(key) {
            need(false, &format!("auth.keys: {problem}"));
        }
    }
    need(
        auth.max_token_life >= Duration::from_secs(60),
        "auth.max_token_life: must be at least 1 minute",
    );
    need(auth.leeway <= Duration::from_secs(300), "auth.leeway: must be at most 5 minutes");
}

/// Whether nobody on the way can read what is said there: https, or on this machine.
pub(super) fn is_safe_address(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let local = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && local)
}

fn check_backends(config: &Config, need: &mut impl FnMut(bool, &str)) {
    super::database::check(config, need);
    super::redis::check(config, need);
    need((1..=64).contains(&config.store.readers), "store.readers: must be between 1 and 64");
    need(config.store.queue >= 1, "store.queue: must be at least 1");
}

fn check_gateway(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let gateway = &config.gateway;
    need(
        gateway.path.starts_with('/') && gateway.path.ends_with('/') && gateway.path.len() > 2,
        "gateway.path: must begin and end with a slash, for example /socket.io/",
    );
    need(
        gateway.plain_path.starts_with('/') && gateway.plain_path.len() > 1,
        "gateway.plain_path: must begin with a slash, for example /ws",
    );
    need(
        gateway.ping_interval >= Duration::from_millis(100)
            && gateway.ping_timeout >= Duration::from_millis(100),
        "gateway.ping_interval, gateway.ping_timeout: must be at least 100ms",
    );
    need(
        (1_000..=100_000_000).contains(&gateway.max_payload),
        "gateway.max_payload: must be between 1000 and 100000000 bytes",
    );
    need(
        gateway.recovery.is_zero() || (gateway.recovery_events >= 1 && gateway.recovery_bytes >= 1),
        "gateway.recovery_events, gateway.recovery_bytes: must be at least 1; gateway.recovery = 0s turns it off",
    );
    need(gateway.send_buffer >= 64 * 1024, "gateway.send_buffer: must be at least 65536 bytes");
    need(
        gateway.node_send_buffer >= gateway.send_buffer,
        "gateway.node_send_buffer: must not be smaller than gateway.send_buffer",
    );
}

fn check_limits(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let limits = &config.limits;
    need(limits.connections >= 1, "limits.connections: must be at least 1");
    need(
        limits.saturation > 0.0 && limits.saturation <= 1.0,
        "limits.saturation: must be more than 0 and at most 1",
    );
    need(limits.connections_per_user >= 1, "limits.connections_per_user: must be at least 1");
    need(limits.connections_per_ip >= 1, "limits.connections_per_ip: must be at least 1");
    need(limits.connects_per_ip >= 1, "limits.connects_per_ip: must be at least 1");
    need(limits.client_messages >= 1, "limits.client_messages: must be at least 1");
    need(limits.rooms_per_connection >= 1, "limits.rooms_per_connection: must be at least 1");
    need(
        (1..=limits.request_body).contains(&limits.event_data),
        "limits.event_data: must be at least 1 and not larger than limits.request_body",
    );
    need(
        limits.notification_data <= limits.request_body,
        "limits.notification_data: must not be larger than limits.request_body",
    );
}

fn check_rooms(config: &Config, need: &mut impl FnMut(bool, &str)) {
    if let Err(problem) = crate::rooms::EventTypes::new(&config.events) {
        need(false, &problem);
    }
    for (name, kind) in &config.rooms {
        let fine = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let mut need = |ok, problem| need(ok, &format!("rooms.{name}{problem}"));
        need(fine, ": the name of a kind has 1 to 32 small letters, digits and -");
        need(
            name != "user" || kind.rule == Rule::Own,
            ".rule: a user's room is the user's own; declare another kind",
        );
        need(kind.rule != Rule::Role(String::new()), ".rule: name the role");
        need(kind.max_members >= 1, ".max_members: must be at least 1");
        let fine = kind.history.is_none_or(|history| {
            (1..=1_000).contains(&history.messages)
                && (Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&history.age)
        });
        need(fine, ".history: messages must be between 1 and 1000, age between 1s and 24h");
    }
}

fn check_http(config: &Config, need: &mut impl FnMut(bool, &str)) {
    for origin in &config.http.origins {
        let scheme = origin.starts_with("https://") || origin.starts_with("http://");
        let bare = origin.matches('/').count() == 2;
        need(
            scheme && bare && !origin.contains('*'),
            "http.origins: each is scheme, host and port, such as https://app.example; no * and no path",
        );
    }
    for proxy in &config.http.trusted_proxies {
        if let Err(problem) = crate::client_address::Network::parse(proxy) {
            need(false, &format!("http.trusted_proxies: {proxy}: {problem}"));
        }
    }
}
