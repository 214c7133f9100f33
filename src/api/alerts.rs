//! `/alerts`: what the monitors found and is not over.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Viewer;
use super::error::ApiError;
use super::paging::{ListView, PageParams};
use super::query::Query;
use super::state::ApiState;
use crate::domain::alert::{AlertState, Level};
use crate::domain::time::Timestamp;

/// A finding that is not over.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertView {
    /// Of what, prefixed by its kind: `disk:/var`.
    pub key: String,
    /// How bad.
    #[schema(value_type = super::schema::AlertLevelSchema)]
    pub level: Level,
    /// Since when it is so bad.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When people or programs were last told; null while nobody was told of the last change.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub told_at: Option<Timestamp>,
    /// One line for people.
    pub title: String,
}

impl From<AlertState> for AlertView {
    fn from(state: AlertState) -> Self {
        let AlertState {
            key,
            level,
            since,
            last_sent_at,
            title,
        } = state;
        Self {
            key,
            level,
            since,
            told_at: last_sent_at,
            title,
        }
    }
}

/// What is not over, the worst and then the newest first; of 10,000 things that monitors watch.
///
/// # Errors
/// A database that does not answer.
pub async fn open(state: &ApiState) -> Result<Vec<AlertView>, ApiError> {
    let mut found = state.store.alert_list("").await?;
    found.retain(|alert| alert.level > Level::Ok);
    found.sort_by(|a, b| {
        (b.level, b.since)
            .cmp(&(a.level, a.since))
            .then_with(|| a.key.cmp(&b.key))
    });
    Ok(found.into_iter().map(AlertView::from).collect())
}

/// Findings of the monitors that are not over, the worst and then the newest first.
#[utoipa::path(
    get, path = "/api/v1/alerts", tag = "stats", operation_id = "alert_list",
    params(PageParams),
    responses((status = 200, description = "Findings", body = ListView<AlertView>))
)]
pub(super) async fn list(
    _: Viewer,
    Query(page): Query<PageParams>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<web::Json<ListView<AlertView>>, ApiError> {
    let part = page.slice(open(&state).await?);
    Ok(web::Json(ListView::of(request.path(), part)))
}
