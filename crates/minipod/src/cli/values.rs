//! Values of options that have to be right before anything is done. An empty value, as an
//! environment variable has it that is set to nothing, means that nothing was said.

use pod_runner::pod_network;

/// A range of IPv4 addresses, or nothing.
pub(super) fn pod_cidr(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        pod_network::check_pod_cidr(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

/// A range of IPv6 addresses, `auto`, `none`, or nothing.
pub(super) fn pod_cidr6(text: &str) -> Result<String, String> {
    if !matches!(text, "" | "auto" | "none") {
        pod_network::check_pod_cidr6(text).map_err(|error| format!("{error}; or auto, or none"))?;
    }
    Ok(text.to_owned())
}

/// `none`, `internet` or `all`.
pub(super) fn pod_egress(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        pod_network::check_pod_egress(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}
