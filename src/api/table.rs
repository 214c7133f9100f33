//! A line of the URL table: a path, its methods, and what other methods are answered.

use actix_web::guard::{self, Guard};
use actix_web::http::{Method, header};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, web};

use super::error::ApiError;

/// A path with its methods.
pub struct Endpoint {
    path: &'static str,
    methods: Vec<&'static str>,
    resource: Resource,
}

/// A path without methods.
pub fn at(path: &'static str) -> Endpoint {
    Endpoint {
        path,
        methods: Vec::new(),
        resource: web::resource(path),
    }
}

impl Endpoint {
    /// Answers GET, and HEAD with the same header.
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let both = guard::Any(guard::Get()).or(guard::Head());
        self.route(&["GET", "HEAD"], both, handler)
    }

    /// Answers POST.
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route(&["POST"], guard::Post(), handler)
    }

    /// Answers PATCH.
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route(&["PATCH"], guard::Patch(), handler)
    }

    /// Answers DELETE.
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route(&["DELETE"], guard::Delete(), handler)
    }

    fn route<F, Args>(
        mut self,
        methods: &[&'static str],
        guard: impl Guard + 'static,
        handler: F,
    ) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.extend(methods);
        self.resource = self.resource.route(Route::new().guard(guard).to(handler));
        self
    }

    /// What actix is given: the routes, and an answer that lists them for every other method.
    #[must_use]
    pub fn resource(self) -> Resource {
        let allow = format!("{}, OPTIONS", self.methods.join(", "));
        self.resource
            .default_service(web::to(move |request: HttpRequest| {
                let allow = allow.clone();
                async move {
                    if *request.method() == Method::OPTIONS {
                        Ok(HttpResponse::NoContent()
                            .insert_header((header::ALLOW, allow))
                            .finish())
                    } else {
                        Err(ApiError::method_not_allowed(&allow))
                    }
                }
            }))
    }
}

/// Every (method, path) that is answered, HEAD and OPTIONS left out.
#[must_use]
pub fn routes() -> Vec<(&'static str, &'static str)> {
    let lines = super::table().into_iter();
    lines
        .flat_map(|line| {
            let path = line.path;
            line.methods
                .into_iter()
                .filter(|method| *method != "HEAD")
                .map(move |method| (method, path))
        })
        .collect()
}
