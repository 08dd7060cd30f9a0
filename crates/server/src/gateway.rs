//! The gateway as the configuration wants it.

use std::sync::Arc;

use tidings_gateway::Gateway;

use crate::{
    guard::{Door, GatewayGuard},
    inbox::{InboxNamespace, PlainInbox},
    state::AppState,
};

/// When a node restarts, or the one beside it, all its clients may come at once, and from far away none has sent its
/// request before the last has connected. What is silent takes 5 KB, what has sent half a request 21 KB.
const HALF_OPEN: (usize, usize) = (4096, 16_384);

/// `sockets`: connections of all kinds that this process has files for.
pub(crate) fn gateway(state: &AppState, door: Arc<Door>, sockets: usize) -> Gateway {
    let config = &state.config;
    let settings = tidings_gateway::Config {
        path: config.gateway.path.clone(),
        plain_path: Some(config.gateway.plain_path.clone()),
        auth_timeout: config.gateway.auth_timeout,
        ping_interval: config.gateway.ping_interval,
        ping_timeout: config.gateway.ping_timeout,
        connect_timeout: config.gateway.connect_timeout,
        max_payload: config.gateway.max_payload,
        send_buffer: config.gateway.send_buffer,
        node_send_buffer: config.gateway.node_send_buffer,
        slow_drain: config.gateway.slow_drain,
        recovery: (!config.gateway.recovery.is_zero()).then_some(tidings_gateway::Recovery {
            window: config.gateway.recovery,
            max_packets: config.gateway.recovery_events,
            max_bytes: config.gateway.recovery_bytes,
        }),
        max_connections: config.limits.connections,
        saturation: config.limits.saturation,
        half_open: config.limits.connections.clamp(HALF_OPEN.0, HALF_OPEN.1),
        sockets,
        ..tidings_gateway::Config::default()
    };
    let namespace = Arc::new(InboxNamespace::new(state.clone()));
    Gateway::builder(settings)
        .plain(Arc::new(PlainInbox::new(namespace.clone())))
        .namespace("/", namespace)
        .guard(Arc::new(GatewayGuard::new(state.clone(), door)))
        .metrics(Arc::clone(&state.metrics) as Arc<dyn tidings_gateway::Metrics>)
        .build()
}
