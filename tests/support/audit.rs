//! The API server's own account of who asked for what.

use std::path::Path;

use serde::Deserialize;

/// A request that the API server has answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub verb: String,
    pub user: User,
    #[serde(rename = "requestURI")]
    pub uri: String,
    pub object_ref: Option<ObjectRef>,
    pub response_status: Option<ResponseStatus>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub username: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectRef {
    pub api_group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ResponseStatus {
    pub code: u16,
}

impl Request {
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    pub fn namespace(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| object.namespace.as_str())
    }

    pub fn code(&self) -> u16 {
        self.response_status.as_ref().map_or(0, |status| status.code)
    }
}

/// All requests so far. The last line is left out while it is being written.
pub fn requests(log: &Path) -> Vec<Request> {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("audit log: {error}: {line}"));
    complete.lines().map(parse).collect()
}

/// The write requests of a user so far, refused ones too.
pub fn writes(log: &Path, user: &str) -> Vec<Request> {
    let mut requests = requests(log);
    requests.retain(|request| request.user.username == user && request.is_write());
    requests
}
