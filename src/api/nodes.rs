//! `/nodes`: every start of robotd on this database.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Viewer;
use super::error::ApiError;
use super::paging::{ListView, PageParams};
use super::query::Query;
use super::state::ApiState;
use crate::domain::id::NodeId;
use crate::domain::iso_duration::serde_iso_option;
use crate::domain::time::Timestamp;
use crate::store::node::{Node, NodeState};
use crate::store::page::Page;

/// One start of robotd.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeView {
    /// Its id; a restart takes a new one.
    #[schema(value_type = String)]
    pub id: NodeId,
    /// The name, which outlives restarts.
    pub name: String,
    /// Program version.
    pub version: String,
    /// Process id on its host.
    pub pid: i32,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it was last heard of.
    #[schema(value_type = String, format = DateTime)]
    pub heartbeat_at: Timestamp,
    /// How it stands.
    pub state: NodeState,
    /// How far its machine's clock was ahead of the database's at its last heartbeat, in milliseconds; negative where it
    /// was behind.
    pub clock_offset_ms: i64,
    /// Within how long it takes others for dead, ISO 8601; the same on all nodes. Null where its version does not say so.
    #[serde(with = "serde_iso_option")]
    #[schema(value_type = Option<String>, example = "PT15S")]
    pub node_timeout: Option<Duration>,
}

impl From<Node> for NodeView {
    fn from(node: Node) -> Self {
        let Node {
            id,
            name,
            version,
            pid,
            started_at,
            heartbeat_at,
            state,
            clock_offset,
            timeout,
        } = node;
        Self {
            id,
            name,
            version,
            pid,
            started_at,
            heartbeat_at,
            state,
            clock_offset_ms: clock_offset / 1_000,
            node_timeout: timeout,
        }
    }
}

/// A part of the nodes, newest start first.
///
/// # Errors
/// A database that does not answer.
pub async fn select(state: &ApiState, part: &PageParams) -> Result<Page<NodeView>, ApiError> {
    let part = part.slice(state.store.node_list().await?);
    Ok(Page {
        items: part.items.into_iter().map(NodeView::from).collect(),
        next: part.next,
    })
}

/// Nodes, newest start first.
#[utoipa::path(
    get, path = "/api/v1/nodes", tag = "nodes", operation_id = "node_list",
    params(PageParams),
    responses((status = 200, description = "Nodes", body = ListView<NodeView>))
)]
pub(super) async fn list(
    _: Viewer,
    Query(page): Query<PageParams>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<web::Json<ListView<NodeView>>, ApiError> {
    let part = select(&state, &page).await?;
    Ok(web::Json(ListView::of(request.path(), part)))
}
