//! References to variables: `$(NAME)` in commands, arguments and values (Kubernetes: `expansion`).

/// Replaces each `$(NAME)` by the variable's value. `$$` is a dollar sign; a name that is not set
/// stays as written. What was put in is not looked at again.
pub fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = enclosed(after) {
            match value(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&rest[at..at + name.len() + 3]),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

/// `(NAME)rest` as `NAME` and `rest`.
fn enclosed(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('(')?.split_once(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_variables_are_expanded_as_kubernetes_does_it() {
        let value = |name: &str| match name {
            "NAME" => Some("kubia"),
            "EMPTY" => Some(""),
            "ODD" => Some("$(NAME)$$"),
            _ => None,
        };
        for (text, expanded) in [
            ("$(NAME)", "kubia"),
            ("-$(NAME)-$(NAME)-", "-kubia-kubia-"),
            ("$(EMPTY)", ""),
            ("$(ODD)", "$(NAME)$$"),
            ("$(UNKNOWN)", "$(UNKNOWN)"),
            ("$$(NAME)", "$(NAME)"),
            ("$$$(NAME)", "$kubia"),
            ("$(NAME", "$(NAME"),
            ("$()", "$()"),
            ("$NAME ${NAME}", "$NAME ${NAME}"),
            ("$", "$"),
            ("grüße $(NAME)", "grüße kubia"),
        ] {
            assert_eq!(expand(text, value), expanded, "{text}");
        }
    }
}
