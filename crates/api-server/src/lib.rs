//! A window on the pods of this machine for kubectl and Kubernetes' client libraries.
//!
//! The server owns nothing: it reads and changes everything through [`pod_api`], as the command line
//! does, so both see the same at any moment, and it may be killed and started again at any time.
//! This crate must not know terminals, nor how namespaces and images work.

mod access;
mod cache;
mod discovery;
mod exec;
mod kinds;
mod logs;
mod node;
mod objects;
mod openapi;
mod patch;
mod port_forward;
mod protobuf;
mod request;
mod respond;
mod server;
mod spdy;
mod table;
mod upgrade;
mod watch;
mod writing;

pub use access::{Access, AccessError};
pub use server::{Options, ServeError, Server};
