//! What all pages have in common: who looks at it, where in the panel it is, and how it is answered.

use std::future::{Ready, ready};

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use askama::Template;
use askama::filters::HtmlSafeOutput;

use super::form::TOKEN_FIELD;
use super::moment::At;
use super::session::Session;
use super::{Panel, assets, text};
use crate::api::{ApiError, ApiState, Caller};
use crate::domain::access::Role;

/// The cookie by which a page says what the last form did.
pub(super) const TOLD_COOKIE: &str = "robotd_told";
/// The cookie that holds the colours a person chose; a script writes it.
const THEME_COOKIE: &str = "robotd_theme";
/// The longest address that is come back to after signing in.
const ADDRESS_CHARS_MAX: usize = 1_000;

/// A place in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Robots,
    Executions,
    Tasks,
    Approvals,
    Processes,
    Ticks,
    Audit,
    Inventory,
    Operations,
    Imports,
    Problem,
    Nowhere,
}

/// The navigation, in its order.
const PLACES: [Place; 11] = [
    Place::Overview,
    Place::Robots,
    Place::Executions,
    Place::Tasks,
    Place::Approvals,
    Place::Processes,
    Place::Ticks,
    Place::Audit,
    Place::Inventory,
    Place::Operations,
    Place::Imports,
];

impl Place {
    /// Where it is.
    pub(super) const fn address(self) -> &'static str {
        match self {
            Self::Robots => "/robots",
            Self::Executions => "/executions",
            Self::Tasks => "/tasks",
            Self::Approvals => "/approvals",
            Self::Processes => "/processes",
            Self::Ticks => "/ticks",
            Self::Audit => "/audit",
            Self::Inventory => "/inventory",
            Self::Operations => "/operations",
            Self::Imports => "/imports",
            Self::Overview | Self::Problem | Self::Nowhere => "/",
        }
    }

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overview => text::OVERVIEW,
            Self::Robots => text::ROBOTS,
            Self::Executions => text::EXECUTIONS,
            Self::Tasks => text::TASKS,
            Self::Approvals => text::APPROVALS,
            Self::Processes => text::PROCESSES,
            Self::Ticks => text::TICKS,
            Self::Audit => text::AUDIT,
            Self::Inventory => text::INVENTORY,
            Self::Operations => text::OPERATIONS,
            Self::Imports => text::IMPORTS,
            Self::Problem | Self::Nowhere => text::PRODUCT,
        }
    }
}

/// A request for a page, as far as its frame is concerned.
#[derive(Debug)]
pub(super) struct Visit {
    theme: &'static str,
    told: Option<String>,
    form_token: String,
    at: At,
}

impl Visit {
    /// The visit of a request, signed in or not.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let theme = request.cookie(THEME_COOKIE);
        let theme = match theme.as_ref().map(Cookie::value) {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "",
        };
        let session = request.extensions().get::<Session>().cloned();
        let panel = request.app_data::<web::Data<Panel>>();
        let form_token = session.zip(panel).map(|(session, panel)| {
            let mask = rand::random();
            session.form_token(&panel.signer, mask)
        });
        let now = request
            .app_data::<web::Data<ApiState>>()
            .map(|state| state.now());
        Self {
            theme,
            told: request
                .cookie(TOLD_COOKIE)
                .and_then(|told| text::told(told.value())),
            form_token: form_token.unwrap_or_default(),
            at: At(now.unwrap_or_default()),
        }
    }

    /// The frame of a page for `caller`. `topics` are the changes it is interested in, blanks between them.
    pub(super) fn shell(
        self,
        caller: Option<&Caller>,
        place: Place,
        title: impl Into<String>,
        topics: &'static str,
    ) -> Shell {
        Shell {
            title: title.into(),
            place,
            topics,
            name: caller.map(|caller| caller.name.clone()).unwrap_or_default(),
            role: caller.map(|caller| caller.role),
            form_token: self.form_token,
            theme: self.theme,
            told: self.told,
            at: self.at,
            assets: assets::folder(),
        }
    }
}

impl FromRequest for Visit {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// The frame of a page; templates know it as `shell`.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) place: Place,
    pub(super) topics: &'static str,
    pub(super) name: String,
    pub(super) role: Option<Role>,
    pub(super) form_token: String,
    pub(super) theme: &'static str,
    pub(super) told: Option<String>,
    pub(super) at: At,
    pub(super) assets: String,
}

impl Shell {
    /// The places of the navigation; empty for who is not signed in. An error also leads on where nobody could be asked
    /// what the session's token may do.
    pub(super) fn places(&self) -> &'static [Place] {
        let led_on = self.place == Place::Problem && !self.form_token.is_empty();
        if self.role.is_some() || led_on {
            &PLACES
        } else {
            &[]
        }
    }

    /// The field of a form that proves where it comes from.
    pub(super) fn token_field(&self) -> HtmlSafeOutput<String> {
        // Hexadecimal digits need no escaping.
        HtmlSafeOutput(format!(
            "<input type=\"hidden\" name=\"{TOKEN_FIELD}\" value=\"{}\">",
            self.form_token
        ))
    }

    /// Whether the viewer may order, cancel and repeat work.
    pub(super) fn operates(&self) -> bool {
        self.role >= Some(Role::Operator)
    }

    /// Whether the viewer may change the configuration.
    pub(super) fn administers(&self) -> bool {
        self.role >= Some(Role::Admin)
    }
}

/// Answers a page.
///
/// # Errors
/// A template that cannot be rendered, which is a defect.
pub(super) fn answer(page: &impl Template) -> Result<HttpResponse, ApiError> {
    let html = page.render().map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::VARY, "Cookie"))
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// Leads to a page that says what was done: `code` and `detail` are those of [`text::told`].
pub(super) fn see_and_tell(path: &str, code: &str, detail: &str) -> HttpResponse {
    let cookie = Cookie::build(TOLD_COOKIE, format!("{code}.{detail}"))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(30))
        .finish();
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .cookie(cookie)
        .finish()
}

/// Where who is not signed in is led, to come back afterwards.
pub(super) fn sign_in_address(request: &HttpRequest) -> String {
    let wanted = request
        .uri()
        .path_and_query()
        .map_or("/", |wanted| wanted.as_str());
    if wanted == "/" || !own_address(wanted) {
        return "/sign-in".to_owned();
    }
    let next: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    format!("/sign-in?next={next}")
}

/// Whether an address is one of this node: a path, and nothing that a browser takes for another host.
pub(super) fn own_address(address: &str) -> bool {
    let path = address.strip_prefix('/');
    path.is_some_and(|path| !path.starts_with(['/', '\\']))
        && address.len() <= ADDRESS_CHARS_MAX
        && !address.contains(|c: char| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_node_are_come_back_to() {
        for own in ["/", "/robots", "/tasks?robot=a.b&status=failed"] {
            assert!(own_address(own), "{own}");
        }
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\nb",
        ] {
            assert!(!own_address(foreign), "{foreign}");
        }
    }
}
