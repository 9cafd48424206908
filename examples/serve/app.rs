//! What all routes share, and the routes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any, CorsLayer};

use super::bodies::Bodies;
use super::embeddings;
use super::error::{ApiError, ApiResult};
use super::fields::quoted;
use super::images::{self, now};
use super::queue::{Queue, Stop};
use super::request::Model;
use super::served::Served;
use super::store::Store;

/// The names of the models.
pub(crate) const LOOP: &str = "imagerag";
pub(crate) const DRAFT: &str = "imagerag-draft";
pub(crate) const EMBED: &str = "imagerag-embed";

/// What all routes share.
pub(crate) struct App {
    pub(crate) served: Served,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    /// Embeddings take a moment, and do not wait behind images.
    pub(crate) embeddings: Queue,
    pub(crate) bodies: Bodies,
    /// Further names of the loop, for clients that cannot be told another.
    pub(crate) aliases: Vec<String>,
    pub(crate) api_key: Option<String>,
    /// The address in links, in place of the one that the client used.
    pub(crate) public_url: Option<String>,
    /// Where the server listens.
    pub(crate) address: String,
    pub(crate) stop: tokio::sync::watch::Receiver<Stop>,
    pub(crate) started: u64,
}

/// The routes; `cors` is the origin of the web pages that may use them, `*` for any.
pub(crate) fn router(app: Arc<App>, cors: Option<HeaderValue>) -> Router {
    let guarded = Router::new()
        .route("/images/generations", post(images::generations))
        .route("/images/edits", post(images::edits))
        .route("/embeddings", post(embeddings::embeddings))
        .route("/models", get(models))
        .route("/models/{id}", get(model))
        .layer(from_fn_with_state(Arc::clone(&app), authorized));
    // Their addresses are secrets themselves, and browsers have no key.
    let open = Router::new()
        .route("/traces/{id}", get(trace))
        .route("/files/{name}", get(file))
        .route("/health", get(health));
    let api = guarded.merge(open);
    let router = Router::new()
        .nest("/v1", api.clone())
        .merge(api)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(|_| {
            ApiError::internal("a part of the server panicked").into_response()
        }))
        .with_state(app);
    match cors {
        None => router,
        Some(origin) => {
            // The asterisk covers every header but this one (Fetch, 4.9, CORS-preflight fetch).
            let headers = [header::AUTHORIZATION, HeaderName::from_static("*")];
            let cors = CorsLayer::new().allow_methods(Any).allow_headers(headers);
            let cors = cors.expose_headers([images::TRACE, header::RETRY_AFTER]);
            router.layer(match origin.as_bytes() {
                b"*" => cors.allow_origin(Any),
                _ => cors.allow_origin(origin),
            })
        }
    }
}

impl App {
    /// The model called `name`; the loop where there is none.
    pub(crate) fn model(&self, name: Option<String>) -> ApiResult<Model> {
        match name.as_deref() {
            None | Some(LOOP) => Ok(Model::Loop),
            Some(DRAFT) => Ok(Model::Draft),
            Some(alias) if self.aliases.iter().any(|known| known == alias) => Ok(Model::Loop),
            Some(other) => Err(unknown(other, &self.drawing())),
        }
    }

    /// The names of the models that draw.
    fn drawing(&self) -> Vec<&str> {
        [LOOP, DRAFT].into_iter().chain(self.aliases.iter().map(String::as_str)).collect()
    }

    /// The names of all models.
    fn names(&self) -> Vec<&str> {
        let embed = self.served.embedder.as_ref().map(|_| EMBED);
        self.drawing().into_iter().chain(embed).collect()
    }

    /// Where the client of a request with `headers` finds what is kept for it.
    pub(crate) fn links(&self, headers: &HeaderMap) -> Links {
        let is_plain = |host: &&str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
            !host.is_empty() && host.chars().all(plain)
        };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(is_plain);
        Links(match (&self.public_url, host) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => self.address.clone(),
        })
    }
}

/// No model of a route, which has the models `known`, is called `model`.
pub(crate) fn unknown(model: &str, known: &[&str]) -> ApiError {
    let (known, found) = (known.join(", "), quoted(model));
    ApiError::not_found(format!("model: expected one of {known}, found {found}"))
        .with_code("model_not_found")
        .with_param("model")
}

/// The address of the server, to which those of traces and files are added.
pub(crate) struct Links(String);

impl Links {
    pub(crate) fn trace(&self, id: &str) -> String {
        format!("{}/v1/traces/{id}", self.0)
    }

    pub(crate) fn file(&self, id: &str, format: &str) -> String {
        format!("{}/v1/files/{id}.{format}", self.0)
    }
}

/// Refuses requests without the key, where there is one.
async fn authorized(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(key) = &app.api_key else { return next.run(request).await };
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.map(|value| value.to_str().unwrap_or_default().trim());
    let found = match given.map(|given| given.split_once(' ').unwrap_or((given, ""))) {
        None => "no such header",
        Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => match given.trim() {
            given if is_same(given, key) => return next.run(request).await,
            "" => "no key",
            _ => "another key",
        },
        Some(_) => "another scheme than Bearer",
    };
    app.bodies.discard(request.into_body().into_data_stream());
    ApiError::unauthorized(found).into_response()
}

async fn no_route(State(app): State<Arc<App>>, uri: Uri, body: Body) -> ApiError {
    app.bodies.discard(body.into_data_stream());
    ApiError::not_found(format!("there is no {}", uri.path()))
}

async fn no_method(State(app): State<Arc<App>>, uri: Uri, method: Method, body: Body) -> ApiError {
    app.bodies.discard(body.into_data_stream());
    let message = format!("{}: expected another method than {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message)
}

/// Whether both are equal, in a time that does not depend on where they differ.
fn is_same(one: &str, other: &str) -> bool {
    let differs = one.bytes().zip(other.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    one.len() == other.len() && differs == 0
}

/// The last part of a path.
type Name = Result<Path<String>, PathRejection>;

fn read(name: Name) -> ApiResult<String> {
    let broken = |error: PathRejection| ApiError::invalid(error.body_text());
    name.map(|Path(name)| name).map_err(broken)
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let models: Vec<Value> = app.names().into_iter().map(|name| described(&app, name)).collect();
    Json(json!({ "object": "list", "data": models }))
}

async fn model(State(app): State<Arc<App>>, name: Name) -> ApiResult {
    let id = read(name)?;
    match app.names().contains(&id.as_str()) {
        true => Ok(Json(described(&app, &id)).into_response()),
        false => Err(unknown(&id, &app.names())),
    }
}

fn described(app: &App, name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": app.started, "owned_by": "imagerag" })
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let is_serving = *app.stop.borrow() == Stop::Serving;
    let status = if is_serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if is_serving { "ok" } else { "stopping" },
        "serves": app.served.name,
        "uptime": now().saturating_sub(app.started),
        "images": app.queue.json(),
        "embeddings": app.embeddings.json(),
    });
    (status, Json(body)).into_response()
}

/// `ID` and `ID.json` are the trace, `ID.html` is a page; so is `ID` for a browser.
async fn trace(State(app): State<Arc<App>>, name: Name, headers: HeaderMap) -> ApiResult {
    let name = read(name)?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_browser = accept.is_some_and(|accept| accept.contains("text/html"));
    let (id, as_page) = match (name.strip_suffix(".html"), name.strip_suffix(".json")) {
        (Some(id), _) => (id, true),
        (None, Some(id)) => (id, false),
        (None, None) => (name.as_str(), is_browser),
    };
    let trace = app.store.trace(id);
    let trace = trace.ok_or_else(|| ApiError::not_found("there is no such trace, or no longer"))?;
    if as_page {
        let policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
        let headers = [(header::CONTENT_SECURITY_POLICY, policy), (header::VARY, "accept")];
        return Ok((headers, Html(trace.page.clone())).into_response());
    }
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::VARY, "accept")];
    Ok((headers, trace.json.clone()).into_response())
}

/// `ID.png`, as a reply by address called it.
async fn file(State(app): State<Arc<App>>, name: Name) -> ApiResult {
    let name = read(name)?;
    let found = name
        .split_once('.')
        .and_then(|(id, ending)| app.store.file(id).filter(|file| file.format == ending));
    let file = found.ok_or_else(|| ApiError::not_found("there is no such file, or no longer"))?;
    let headers = [
        (header::CONTENT_TYPE, format!("image/{}", file.format)),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, file.bytes).into_response())
}
