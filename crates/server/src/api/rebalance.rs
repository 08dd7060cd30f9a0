//! Connections of one node are sent to others.

use std::{sync::Arc, time::Duration};

use axum::{Json as AxumJson, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{api_key::Scope, ids::NodeId, signal::NodeSignal};
use utoipa::ToSchema;

use super::{caller::Server, extract::Json, problem::Problem};
use crate::state::AppState;

/// How long nodes have to say that they were meant.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST: u64 = 1_000_000;
const LONGEST: u64 = 3_600;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rebalance {
    /// The node that has too many, as `/health` names it; the one that is asked, if left out.
    node_id: Option<String>,
    /// How many of its connections go, whoever they are.
    #[schema(minimum = 1, maximum = 1_000_000)]
    connections: u64,
    /// Over how long they are spread.
    #[serde(default = "seconds")]
    #[schema(minimum = 0, maximum = 3_600, default = 30)]
    seconds: u64,
}

fn seconds() -> u64 {
    30
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rebalancing {
    node_id: String,
    connections: u64,
    seconds: u64,
}

/// Has connections of a node go elsewhere, gently: each is told `server:shutdown` and closed in a
/// way that makes its client come back, which the load balancer sends to whoever has fewest.
#[utoipa::path(
    post, path = "/admin/rebalance", tag = "connections", security(("apiKey" = [])),
    request_body = Rebalance,
    responses((status = 202, body = Rebalancing), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn begin(
    State(state): State<AppState>,
    server: Server,
    Json(body): Json<Rebalance>,
) -> Result<(StatusCode, AxumJson<Rebalancing>), Problem> {
    server.require(Scope::ConnectionsWrite)?;
    let bad = |pointer: &str, code: &str, detail: &str| {
        Problem::field(StatusCode::UNPROCESSABLE_ENTITY, pointer, code, detail)
    };
    if !(1..=MOST).contains(&body.connections) {
        return Err(bad("/connections", "OUT_OF_RANGE", "must be between 1 and 1000000"));
    }
    if body.seconds > LONGEST {
        return Err(bad("/seconds", "OUT_OF_RANGE", "must be at most 3600"));
    }
    let node = body.node_id.as_ref().unwrap_or(&state.node_id);
    let node = NodeId::new(node).map_err(|e| bad("/nodeId", "BAD_ID", &e.to_string()))?;
    let Rebalance { connections, seconds, .. } = body;
    let over_ms = seconds * 1_000;
    let signal = NodeSignal::Rebalance { node: node.clone(), connections, over_ms };
    let answers = state.bus.ask_nodes(&Arc::new(signal), PATIENCE).await;
    if answers.is_ok_and(|answers| answers.concerned == 0) {
        let detail = "There is no such node, or it does not answer";
        return Err(Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail));
    }
    server.did(server.does("connections.rebalanced").target(&node));
    let node_id = node.to_string();
    Ok((StatusCode::ACCEPTED, AxumJson(Rebalancing { node_id, connections, seconds })))
}
